// SPDX-License-Identifier: Apache-2.0
#include "scheme/gptq/gptq_tensor.h"

#include <bit>
#include <cstring>

#include "base/bytes.h"
#include "base/float_convert.h"

namespace qstore::scheme {
namespace {

constexpr float kLeastScale = 0x1p-100f;

// What counts as 0 is found in the patterns: comparisons of floats, which may trap, would keep the
// loop from being vectorized.
template <class Pattern, class ToFloat>
void ReadScalesOf(const std::byte* at, size_t count, ToFloat to_float, float* out) {
  constexpr auto kLeast = std::bit_cast<uint32_t>(kLeastScale);
  constexpr uint32_t kMost = 0x7f7fffff;
  for (size_t i = 0; i < count; ++i) {
    Pattern pattern;
    std::memcpy(&pattern, at + sizeof(Pattern) * i, sizeof(Pattern));
    const auto bits = std::bit_cast<uint32_t>(to_float(pattern));
    const uint32_t is_kept = (bits & 0x7fffffff) - kLeast <= kMost - kLeast ? ~0u : 0u;
    out[i] = std::bit_cast<float>(bits & is_kept);
  }
}

// One in each field of a word.
uint32_t Ones(unsigned bits) {
  return bits == 8 ? 0x01010101u : bits == 4 ? 0x11111111u : 0x55555555u;
}

template <unsigned kBits>
void ReadWholeWords(const std::byte* words, size_t count, uint32_t to_word, uint32_t to_field,
                    uint8_t* out) {
  constexpr size_t kEach = 32 / kBits;
  for (size_t w = 0; w < count; ++w, out += kEach) {
    const uint32_t fields = base::LoadLe<uint32_t>(words + 4 * w) + to_word;
    for (unsigned k = 0; k < kEach; ++k) {
      out[k] = static_cast<uint8_t>(((fields >> (k * kBits)) + to_field) & ((1u << kBits) - 1));
    }
  }
}

}  // namespace

Status ReadGroups(const GptqTensor& tensor, std::vector<uint32_t>* group_of) {
  const GptqShape& shape = tensor.shape;
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
  const std::byte* at = tensor.scales.data() + DTypeBits(tensor.scales_dtype) / 8 * begin;
  switch (tensor.scales_dtype) {
    case DType::kF32:
      return ReadScalesOf<uint32_t>(at, count, std::bit_cast<float, uint32_t>, out);
    case DType::kBF16:
      return ReadScalesOf<uint16_t>(at, count, base::Bf16ToFloat, out);
    default:
      return ReadScalesOf<uint16_t>(at, count, base::Fp16ToFloat, out);
  }
}

void ReadZeros(const GptqTensor& tensor, GptqZeros zeros, uint64_t group, uint64_t first,
               size_t count, uint8_t* out) {
  const unsigned bits = tensor.shape.bits;
  const uint64_t row_words = tensor.shape.outputs * bits / 32;
  const std::byte* row = tensor.zeros.data() + 4 * group * row_words;
  const uint32_t to_word = zeros == GptqZeros::kWordsLessOne ? Ones(bits) : 0;
  const uint32_t to_field = zeros == GptqZeros::kLessOne ? 1 : 0;
  if (bits != 3 && first * bits % 32 == 0 && count * bits % 32 == 0) {
    const std::byte* words = row + first * bits / 8;
    const size_t size = count * bits / 32;
    if (bits == 8) return ReadWholeWords<8>(words, size, to_word, to_field, out);
    if (bits == 4) return ReadWholeWords<4>(words, size, to_word, to_field, out);
    return ReadWholeWords<2>(words, size, to_word, to_field, out);
  }
  const uint32_t mask = (1u << bits) - 1;
  const auto word = [&](uint64_t index) -> uint64_t {
    return index < row_words ? base::LoadLe<uint32_t>(row + 4 * index) + to_word : 0;
  };
  uint64_t bit = first * bits;
  for (size_t i = 0; i < count;) {
    // All fields that begin in the word.
    uint64_t fields = (word(bit / 32) | word(bit / 32 + 1) << 32) >> (bit % 32);
    for (const uint64_t end = bit / 32 * 32 + 32; bit < end && i < count; bit += bits, ++i) {
      out[i] = static_cast<uint8_t>((static_cast<uint32_t>(fields) + to_field) & mask);
      fields >>= bits;
    }
  }
}

bool ZerosCarry(const GptqTensor& tensor, uint64_t group) {
  const unsigned bits = tensor.shape.bits;
  if (!IsGptqZeros(static_cast<unsigned>(GptqZeros::kWordsLessOne), bits)) return false;
  const uint64_t row_words = tensor.shape.outputs * bits / 32;
  const std::byte* row = tensor.zeros.data() + 4 * group * row_words;
  const uint32_t ones = Ones(bits);
  // A carry begins where a field is full: where one of the complement is 0, which borrows.
  uint32_t borrows = 0;
  for (uint64_t w = 0; w < row_words; ++w) {
    const uint32_t complement = ~base::LoadLe<uint32_t>(row + 4 * w);
    borrows |= (complement - ones) & ~complement & (ones << (bits - 1));
  }
  return borrows != 0;
}

}  // namespace qstore::scheme
