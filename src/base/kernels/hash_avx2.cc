// SPDX-License-Identifier: Apache-2.0
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/kernels/hash_kernels.h"

namespace qstore::base {
namespace {

uint64_t Hash64(const void* bytes, size_t size) { return XXH3_64bits(bytes, size); }

void Update128(void* state, const void* bytes, size_t size) {
  XXH3_128bits_update(static_cast<XXH3_state_t*>(state), bytes, size);
}

}  // namespace

const HashKernels kAvx2Hash = {Hash64, Update128};

}  // namespace qstore::base
