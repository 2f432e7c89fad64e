// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/kernels/kernels.h"

// The loops that round weights to the grids of quantized formats, compiled for each instruction
// set. Every step is a single IEEE operation for each element, or one of integers, so that all
// tables give the same results. docs/format-grids.md.

namespace qstore::codec {

/// Runs of elements that have the same scale, one after the other.
struct ScaledRuns {
  size_t run_elems;
  size_t run_count;
  const float* factors;  ///< By run.
  const float* zeros;    ///< By run; null without zero points.
};

/// How an element becomes the number that is rounded to a grid.
struct Scaling {
  bool multiply;  ///< By the factor; else it is divided by it.
  /// The result, and the sum with the zero point, are rounded to BF16 (1) or F16 (2).
  uint8_t rounded;
  /// Zero points are taken off first, and nothing is rounded or multiplied.
  bool centered = false;
};

/// Steps between the 16 values of a table.
inline constexpr size_t kTableSteps = 15;

struct RoundKernels {
  /// Numbers of 16-bit patterns; subnormal F32 numbers become zeros of their sign.
  void (*widen_bf16)(const uint8_t* patterns, size_t count, float* out);
  void (*widen_fp16)(const uint8_t* patterns, size_t count, float* out);
  /// Rounds numbers to F16.
  void (*through_fp16)(size_t count, float* values);
  /// The same for numbers of BF16 patterns, in few steps.
  void (*bf16_through_fp16)(size_t count, float* values);
  /// Patterns of the largest magnitude of each run, those of NaNs being the largest.
  void (*absmax)(const float* values, size_t run_elems, size_t run_count, uint32_t* most);
  /// The same of BF16 patterns: patterns of 16 bits, subnormals among them.
  void (*bf16_absmax)(const uint8_t* patterns, size_t run_elems, size_t run_count, uint32_t* most);
  /// The least and the greatest number of each run, by the order of their patterns, -0 below 0.
  void (*extremes)(const float* values, size_t run_elems, size_t run_count, float* least,
                   float* most);
  /// The same of BF16 patterns: patterns of 16 bits, subnormals among them.
  void (*bf16_extremes)(const uint8_t* patterns, size_t run_elems, size_t run_count,
                        uint16_t* least, uint16_t* most);
  void (*scale)(const float* values, const ScaledRuns& runs, const Scaling& how, float* out);
  /// The nearest integer, ties to even, clamped; NaN gives `high`. -128 <= low <= high <= 255.
  void (*integers)(const float* values, size_t count, int low, int high, uint8_t* codes);
  /// The nearest E4M3 number, ties to the even code, of a magnitude of at most 448.
  void (*e4m3)(const float* values, size_t count, uint8_t* codes);
  /// The nearest E2M1 number, likewise, of at most 6; NaN gives 6. What is below 2^-125 is 0, which
  /// has no sign.
  void (*e2m1)(const float* values, size_t count, uint8_t* codes);
  /// How many of the steps are below each number; of numbers below 2^-125, below 0.
  void (*steps)(const float* values, size_t count, const float steps[kTableSteps], uint8_t* codes);
  /// Two codes a byte, the first in the low four bits, or in the high ones. All bits of `flip` are
  /// turned. `count` is even.
  void (*nibbles)(const uint8_t* codes, size_t count, bool high_first, uint8_t flip, uint8_t* out);
  /// The bins of BF16 weights with that factor, of candidates that are multiples of 2^shift (0 to
  /// 7), for codes that are E4M3 numbers or integers: bin k has the weights of codes of magnitude
  /// k. False, and no table, for some factors with which bins are irregular.
  bool (*bf16_bins)(bool is_e4m3, float factor, const Scaling& how, unsigned shift,
                    BinTable8* table);
};

extern const RoundKernels kScalarRounding;
extern const RoundKernels kAvx2Rounding;
extern const RoundKernels kAvx512Rounding;

/// The table for the instruction set that ActiveKernels has. Thread-safe.
const RoundKernels& ActiveRounding();

/// The table of that name when this machine can run it, else null.
const RoundKernels* RoundingByName(const char* name);

}  // namespace qstore::codec
