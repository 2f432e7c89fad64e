// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// The loops between weights and codes, compiled for each instruction set. Every step is a single
// IEEE operation for each element, so that all tables give the same bytes. docs/format-ggml.md.

namespace qstore::scheme::ggml {

/// Weights in sub-blocks of `per_sub`, with a step and an offset each.
struct GridRun {
  const float* weights;
  const float* steps;
  const float* offsets;  ///< Null where all are 0.
  size_t subs;
  size_t per_sub;  ///< A multiple of 16.
  float low;       ///< The least number that a code stands for.
  float high;
  int bias;  ///< The code of 0.
};

struct GridKernels {
  /// The nearest codes: of (weight - offset) / step, limited, rounded with ties to even; 0 where
  /// the step is 0 or no number.
  void (*nearest)(const GridRun& run, uint8_t* codes);
  /// BF16 to F32.
  void (*from_bf16)(const uint8_t* in, size_t count, float* out);
};

extern const GridKernels kScalarGrid;
#if defined(QSTORE_X86_KERNELS)
extern const GridKernels kAvx2Grid;
extern const GridKernels kAvx512Grid;
#endif

}  // namespace qstore::scheme::ggml
