// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "qstore/dtype.h"
#include "scheme/scheme.h"

// AWQ as AutoAWQ stores it for its GEMM kernels: qweight I32 [inputs, outputs / 8], qzeros I32
// [groups, outputs / 8], scales [groups, outputs]. Words hold eight outputs, four bits each, in the
// order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits on. A weight is about scale * (q - zero).

namespace qstore::scheme {

inline constexpr unsigned kAwqBits = 4;
inline constexpr uint64_t kAwqWord = 8;

struct AwqShape {
  uint64_t inputs = 0;
  uint64_t outputs = 0;
  uint64_t groups = 0;

  uint64_t row_words() const { return outputs / kAwqWord; }
  uint64_t group_inputs() const { return inputs / groups; }
};

/// The shape that the sizes of qweight (in words, rows of `row_words`), scales and qzeros (bytes)
/// leave, or nothing where they fit no shape.
std::optional<AwqShape> AwqShapeOf(uint64_t row_words, uint64_t words, uint64_t scale_count,
                                   uint64_t zero_bytes);

/// The tensors of a module, as positions in their table.
struct AwqParts {
  AwqShape shape;
  DType scales_dtype = DType::kF16;
  size_t codes = 0;
  size_t scales = 0;
  size_t zeros = 0;
};

/// Those of the module, when their types and shapes fit one another.
std::optional<AwqParts> FindAwqParts(std::string_view module, const TensorTable& table);

/// The integers of so many words, by output.
void UnpackAwq(const std::byte* words, uint64_t count, uint8_t* out);
void PackAwq(const uint8_t* codes, uint64_t count, std::byte* words);

}  // namespace qstore::scheme
