// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/dtype.h"
#include "qstore/export.h"
#include "qstore/status.h"

// Quantized copies that follow from the weights alone, byte for byte as the tools that define their
// formats make them. docs/guides/server-formats.md names tools and versions.

namespace qstore {

/// The names of formats that a Rounder makes, in lower case: "fp8-block", "nvfp4", ...
QSTORE_EXPORT std::span<const std::string_view> RoundFormats();

/// A tensor that a format stores for a matrix of weights.
struct RoundedTensor {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
};

/// A run of bytes of one of these tensors.
struct RoundedPart {
  size_t tensor = 0;
  uint64_t begin = 0;  ///< In the content of the tensor.
  std::vector<std::byte> bytes;
};

/// Rounds one matrix of weights to a format, piece by piece, so that the matrix need not be in
/// memory: codes, scales and what else the format stores.
/// Thread-safety: all member functions may be called from many threads at once.
class QSTORE_EXPORT Rounder {
 public:
  /// `name` is that of the weights, "P.weight" or "weight"; `shape` is [outputs, inputs].
  ///
  /// fp8-block (F8_E4M3, scales of blocks of 128 by 128, cut at the edges), fp8-channel (of rows),
  /// fp8-tensor (one), int8 (I8, scales of rows), int4 (I32 words, scales of 128 in a row), nvfp4
  /// (U8, E4M3 scales of 16 in a row, one scale of these) and mxfp4 (U8, exponents of 32 in a row)
  /// are those of compressed-tensors; fp8-fine-grained (blocks of 128 by 128, whole) is that of
  /// transformers; nf4 (blocks of 64 in the order of memory) that of bitsandbytes. Weights are
  /// BF16, F16 or F32, for mxfp4 BF16.
  ///
  /// Errors: kInvalidArgument: an unknown format, another name, weights of another type or that are
  /// no matrix or empty; columns, or for blocks that are whole also rows, that are no multiple of
  /// the group; an odd number of weights for nf4.
  static Result<Rounder> Create(std::string_view format, std::string_view name, DType dtype,
                                std::span<const uint64_t> shape);
  ~Rounder();
  Rounder(Rounder&&) noexcept;
  Rounder& operator=(Rounder&&) noexcept;

  /// What is made, the codes first.
  std::span<const RoundedTensor> tensors() const;

  /// A piece begins at a multiple of so many weights, in the order of memory, and ends at one or
  /// with the matrix. At most 128 rows.
  uint64_t unit() const;

  /// Whether Round must know the largest magnitude of the whole matrix.
  bool needs_peak() const;

  /// The largest magnitude of some weights. Errors: kInvalidArgument (infinity or NaN, no whole
  /// weights).
  Result<float> PeakOf(std::span<const std::byte> weights) const;

  /// The parts that a piece makes, in any order; those of all pieces fill the tensors. `first` is
  /// the number of weights before the piece, `peak` that of the whole matrix if it is needed.
  /// Errors: kInvalidArgument (infinity or NaN, no such piece).
  Result<std::vector<RoundedPart>> Round(uint64_t first, std::span<const std::byte> weights,
                                         float peak = 0) const;

 private:
  struct Matrix;
  explicit Rounder(std::unique_ptr<const Matrix> matrix);
  std::unique_ptr<const Matrix> matrix_;
};

}  // namespace qstore
