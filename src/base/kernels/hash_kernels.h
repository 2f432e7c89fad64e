// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// XXH3 compiled for one instruction set each, to the same results.

namespace qstore::base {

struct HashKernels {
  /// XXH3-64 with seed 0.
  uint64_t (*hash64)(const void* bytes, size_t size);
  /// XXH3_128bits_update of an XXH3_state_t.
  void (*update128)(void* state, const void* bytes, size_t size);
};

extern const HashKernels kScalarHash;
extern const HashKernels kAvx2Hash;
extern const HashKernels kAvx512Hash;

}  // namespace qstore::base
