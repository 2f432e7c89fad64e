// SPDX-License-Identifier: Apache-2.0
#include "scheme/awq/awq_tensor.h"

#include "base/bytes.h"
#include "codec/floating.h"

namespace qstore::scheme {
namespace {

// The output at each place of a word.
constexpr unsigned kOrder[kAwqWord] = {0, 2, 4, 6, 1, 3, 5, 7};

}  // namespace

std::optional<AwqShape> AwqShapeOf(uint64_t row_words, uint64_t words, uint64_t scale_count,
                                   uint64_t zero_bytes) {
  if (row_words == 0 || row_words > UINT32_MAX / kAwqWord || words == 0 || words % row_words != 0) {
    return std::nullopt;
  }
  AwqShape shape;
  shape.outputs = row_words * kAwqWord;
  shape.inputs = words / row_words;
  if (scale_count == 0 || scale_count % shape.outputs != 0) return std::nullopt;
  shape.groups = scale_count / shape.outputs;
  if (shape.inputs > UINT32_MAX || shape.inputs % shape.groups != 0 ||
      zero_bytes != scale_count / 2) {
    return std::nullopt;
  }
  return shape;
}

std::optional<AwqParts> FindAwqParts(std::string_view module, const TensorTable& table) {
  const auto codes = FindIn(table, module, "qweight");
  const auto scales = FindIn(table, module, "scales");
  const auto zeros = FindIn(table, module, "qzeros");
  if (!codes || !scales || !zeros) return std::nullopt;
  const TensorDesc code = table.tensor(*codes);
  const TensorDesc scale = table.tensor(*scales);
  const TensorDesc zero = table.tensor(*zeros);
  if (code.dtype != DType::kI32 || code.shape.size() != 2 || zero.dtype != DType::kI32 ||
      !codec::IsCodedFloat(scale.dtype)) {
    return std::nullopt;
  }
  const auto shape = AwqShapeOf(code.shape[1], ElementCount(code.shape), ElementCount(scale.shape),
                                ByteCount(zero));
  if (!shape) return std::nullopt;
  return AwqParts{*shape, scale.dtype, *codes, *scales, *zeros};
}

void UnpackAwq(const std::byte* words, uint64_t count, uint8_t* out) {
  for (uint64_t w = 0; w < count; ++w, out += kAwqWord) {
    const auto word = base::LoadLe<uint32_t>(words + 4 * w);
    for (unsigned k = 0; k < kAwqWord; ++k) {
      out[kOrder[k]] = static_cast<uint8_t>(word >> (kAwqBits * k) & 15);
    }
  }
}

void PackAwq(const uint8_t* codes, uint64_t count, std::byte* words) {
  for (uint64_t w = 0; w < count; ++w, codes += kAwqWord) {
    uint32_t word = 0;
    for (unsigned k = 0; k < kAwqWord; ++k) {
      word |= static_cast<uint32_t>(codes[kOrder[k]]) << (kAwqBits * k);
    }
    base::StoreLe(words + 4 * w, word);
  }
}

}  // namespace qstore::scheme
