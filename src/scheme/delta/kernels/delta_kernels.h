// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The loops of the delta coder over 16-bit floats, for each instruction set; all tables give the
// same bytes. docs/format-coding.md, "Delta".

namespace qstore::scheme {

struct DeltaKernels {
  /// The context of each float: map[d], d being how far the exponent (the pattern without its sign
  /// and its low `mantissa` bits) lies below `top`, at most 15. `top` is at most 255.
  void (*contexts)(const uint8_t* floats, size_t count, unsigned mantissa, unsigned top,
                   const uint8_t map[16], uint8_t* out);
  /// Floats that lie as many steps from others as symbols say which are steps: 0, -1, 1, -2, ...
  void (*apply)(const uint8_t* floats, const uint8_t* symbols, size_t count, uint8_t* out);
  /// The steps from floats to others, zigzag.
  void (*steps)(const uint8_t* floats, const uint8_t* others, size_t count, uint32_t* out);
};

extern const DeltaKernels kScalarDelta;
#if defined(QSTORE_X86_KERNELS)
extern const DeltaKernels kAvx2Delta;
extern const DeltaKernels kAvx512Delta;
#endif

/// That of the instruction set in use.
const DeltaKernels& ActiveDelta();

}  // namespace qstore::scheme
