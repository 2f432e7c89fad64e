// SPDX-License-Identifier: Apache-2.0
#include "make/convert.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/float_convert.h"

namespace qstore::make {
namespace {

template <class T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

// One loop for each pair of types, so that each of them vectorizes.
template <class T, class ToFloat, class ToNarrow>
void Convert(std::span<const std::byte> in, std::span<std::byte> out, ToFloat to_float,
             ToNarrow to_narrow) {
  const size_t count = out.size() / 2;
  const std::byte* const from = in.data();
  std::byte* const to = out.data();
  for (size_t i = 0; i < count; ++i) {
    const uint16_t narrow = to_narrow(to_float(Load<T>(from + i * sizeof(T))));
    std::memcpy(to + i * 2, &narrow, 2);
  }
}

template <class ToNarrow>
void ConvertFrom(DType from, std::span<const std::byte> in, std::span<std::byte> out,
                 ToNarrow to_narrow) {
  if (from == DType::kF64) {
    const auto to_float = [](double value) { return static_cast<float>(value); };
    Convert<double>(in, out, to_float, to_narrow);
  } else if (from == DType::kF32) {
    Convert<float>(
        in, out, [](float value) { return value; }, to_narrow);
  } else if (from == DType::kF16) {
    Convert<uint16_t>(
        in, out, [](uint16_t b) { return base::Fp16ToFloat(b); }, to_narrow);
  } else {
    Convert<uint16_t>(
        in, out, [](uint16_t b) { return base::Bf16ToFloat(b); }, to_narrow);
  }
}

}  // namespace

void ConvertFloats(DType from, std::span<const std::byte> in, DType to, std::span<std::byte> out) {
  if (from == to) {
    if (!out.empty()) std::memcpy(out.data(), in.data(), out.size());
  } else if (to == DType::kBF16) {
    ConvertFrom(from, in, out, [](float value) { return base::FloatToBf16(value); });
  } else {
    ConvertFrom(from, in, out, [](float value) { return base::FloatToFp16(value); });
  }
}

uint16_t LargestMagnitude(std::span<const uint16_t> f16) {
  int16_t largest =
      0;  // Signed: that maximum is one instruction, and no magnitude has the top bit.
  for (const uint16_t bits : f16) {
    largest = std::max(largest, static_cast<int16_t>(bits & 0x7fff));
  }
  return static_cast<uint16_t>(largest);
}

void QuantizeToInt8(std::span<const uint16_t> f16, float absmax, std::span<int8_t> out) {
  // The product with the rounded reciprocal, as PyTorch computes a number divided by a tensor: a
  // division would round some ties the other way.
  const float scale = absmax == 0.0f ? 0.0f : (1.0f / absmax) * 127.0f;
  // At 1.5 * 2^23 an F32 has a spacing of 1: the addition rounds, and the sum's lowest bits are the
  // integer.
  constexpr float kRounder = 12582912.0f;
  const size_t count = f16.size();
  const uint16_t* const from = f16.data();
  int8_t* const to = out.data();
  for (size_t i = 0; i < count; ++i) {
    const float rounded = base::Fp16ToFloat(from[i]) * scale + kRounder;
    to[i] = static_cast<int8_t>(std::bit_cast<uint32_t>(rounded));
  }
}

}  // namespace qstore::make
