// SPDX-License-Identifier: Apache-2.0
#include "quant/gptq.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "base/bytes.h"
#include "base/float_convert.h"

namespace qstore::quant {
namespace {

constexpr float kLeastScale = 0x1p-100f;

float ScaleAt(DType dtype, const std::byte* scales, uint64_t index) {
  switch (dtype) {
    case DType::kF32:
      return std::bit_cast<float>(base::LoadLe<uint32_t>(scales + 4 * index));
    case DType::kBF16:
      return base::Bf16ToFloat(base::LoadLe<uint16_t>(scales + 2 * index));
    default:
      return base::Fp16ToFloat(base::LoadLe<uint16_t>(scales + 2 * index));
  }
}

// One in each field of a word.
uint32_t Ones(unsigned bits) {
  return bits == 8 ? 0x01010101u : bits == 4 ? 0x11111111u : 0x55555555u;
}

}  // namespace

Status ReadGroups(const GptqTensor& tensor, std::vector<uint32_t>* group_of) {
  const base::GptqShape& shape = tensor.shape;
  group_of->resize(shape.inputs);
  for (uint64_t i = 0; i < shape.inputs; ++i) {
    int64_t group = 0;
    if (tensor.groups.empty()) {
      group = static_cast<int64_t>(i / (shape.inputs / shape.groups));
    } else {
      group = static_cast<int32_t>(base::LoadLe<uint32_t>(tensor.groups.data() + 4 * i));
      if (group < 0) group += static_cast<int64_t>(shape.groups);
    }
    if (group < 0 || group >= static_cast<int64_t>(shape.groups)) {
      return Corrupt("gptq: an input's group does not exist");
    }
    (*group_of)[i] = static_cast<uint32_t>(group);
  }
  return {};
}

void ReadScales(const GptqTensor& tensor, uint64_t group, uint64_t first, size_t count,
                float* out) {
  const uint64_t begin = group * tensor.shape.outputs + first;
  for (size_t i = 0; i < count; ++i) {
    const float scale = ScaleAt(tensor.scales_dtype, tensor.scales.data(), begin + i);
    const float size = std::fabs(scale);
    // Also false for NaN.
    out[i] = size >= kLeastScale && size <= 0x1.fffffep+127f ? scale : 0.0f;
  }
}

void ReadZeros(const GptqTensor& tensor, GptqZeros zeros, uint64_t group, uint64_t first,
               size_t count, uint8_t* out) {
  const unsigned bits = tensor.shape.bits;
  const uint32_t mask = (1u << bits) - 1;
  const uint64_t row_words = tensor.shape.outputs * bits / 32;
  const std::byte* row = tensor.zeros.data() + 4 * group * row_words;
  const auto word = [&](uint64_t index) -> uint64_t {
    if (index >= row_words) return 0;
    const auto value = base::LoadLe<uint32_t>(row + 4 * index);
    return zeros == GptqZeros::kWordsLessOne ? value + Ones(bits) : value;
  };
  for (size_t i = 0; i < count; ++i) {
    const uint64_t bit = (first + i) * bits;
    const uint64_t window = word(bit / 32) | word(bit / 32 + 1) << 32;
    const auto field = static_cast<uint32_t>(window >> (bit % 32));
    out[i] = static_cast<uint8_t>((field + (zeros == GptqZeros::kLessOne ? 1 : 0)) & mask);
  }
}

void UnpackInputs(const uint8_t* words, unsigned bits, size_t rows, size_t columns, uint8_t* out) {
  const auto mask = static_cast<uint8_t>((1u << bits) - 1);
  for (size_t r = 0; r < rows; ++r, out += columns) {
    const size_t bit = r * bits;
    const uint8_t* low = words + bit / 32 * columns * 4;
    const unsigned shift = bit % 32;
    const bool is_split = shift + bits > 32;
    const uint8_t* high = is_split ? low + columns * 4 : low;
    const unsigned rest = is_split ? 32 - shift : 31;
    const uint32_t high_mask = is_split ? ~0u : 0u;
    for (size_t c = 0; c < columns; ++c) {
      uint32_t first;
      uint32_t second;
      std::memcpy(&first, low + 4 * c, sizeof(first));
      std::memcpy(&second, high + 4 * c, sizeof(second));
      out[c] = static_cast<uint8_t>((first >> shift | (second & high_mask) << rest) & mask);
    }
  }
}

void PackInputs(const uint8_t* in, unsigned bits, size_t rows, size_t columns, uint8_t* words) {
  std::memset(words, 0, rows * bits / 32 * columns * 4);
  for (size_t r = 0; r < rows; ++r, in += columns) {
    const size_t bit = r * bits;
    uint8_t* low = words + bit / 32 * columns * 4;
    const unsigned shift = bit % 32;
    const bool is_split = shift + bits > 32;
    for (size_t c = 0; c < columns; ++c) {
      uint32_t word;
      std::memcpy(&word, low + 4 * c, sizeof(word));
      word |= static_cast<uint32_t>(in[c]) << shift;
      std::memcpy(low + 4 * c, &word, sizeof(word));
    }
    for (size_t c = 0; is_split && c < columns; ++c) {
      uint8_t* high = low + 4 * (columns + c);
      uint32_t word;
      std::memcpy(&word, high, sizeof(word));
      word |= static_cast<uint32_t>(in[c]) >> (32 - shift);
      std::memcpy(high, &word, sizeof(word));
    }
  }
}

}  // namespace qstore::quant
