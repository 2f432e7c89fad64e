// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "qstore/dtype.h"
#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// Makes the blocks that ggml makes of rows of weights, byte for byte. docs/format-ggml.md,
/// "Searches".
/// Thread-safety: one call at a time; each thread has its own.
class QSTORE_EXPORT BlockMaker {
 public:
  /// Types that it reads: F32, F16, BF16 and most blocks.
  static bool Reads(DType type);
  /// Types that it makes: these floats, and Q4_0 to Q8_0, Q2_K to Q6_K, IQ4_NL, IQ4_XS, TQ1_0,
  /// TQ2_0, MXFP4, NVFP4.
  static bool Makes(DType type);

  BlockMaker();
  ~BlockMaker();
  BlockMaker(BlockMaker&&) noexcept;
  BlockMaker& operator=(BlockMaker&&) noexcept;

  /// Fills `out` with the elements of type `to` that whole rows of type `from` become.
  /// `importance`: a number for each column, or empty; floats do not look at it.
  /// REQUIRES: Reads(from), Makes(to). Errors: kInvalidArgument (rows of no whole blocks, other
  /// sizes, infinity or NaN among the weights or in what is made of them).
  Status Make(DType from, std::span<const std::byte> rows, DType to, uint64_t columns,
              std::span<const float> importance, std::span<std::byte> out);

 private:
  struct Scratch;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace qstore
