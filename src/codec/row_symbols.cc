// SPDX-License-Identifier: Apache-2.0
#include "codec/row_symbols.h"

#include <algorithm>
#include <bit>

#include "base/float_convert.h"

namespace qstore::codec {
namespace {

constexpr uint32_t kInt8Count = 256;

// The value of a non-negative pattern. Subnormals in F32 count as 0: hosts may have them flushed.
float ValueOf(DType dtype, uint32_t pattern) {
  if (dtype == DType::kF16) return base::Fp16ToFloat(static_cast<uint16_t>(pattern));
  const uint32_t bits = dtype == DType::kBF16 ? pattern << 16 : pattern;
  constexpr uint32_t kMinNormal = 0x00800000;
  return bits < kMinNormal ? 0.0f : std::bit_cast<float>(bits);
}

uint32_t InfinityOf(DType dtype) {
  if (dtype == DType::kF16) return 0x7c00;
  return dtype == DType::kBF16 ? 0x7f80 : 0x7f800000;
}

}  // namespace

RowSymbols RowSymbols::Int8() {
  RowSymbols symbols;
  for (uint32_t s = 0; s < kInt8Count; ++s) {
    symbols.center_.push_back(static_cast<float>(s) - 128.0f);
    symbols.lower_.push_back(static_cast<float>(s) - 128.5f);
  }
  return symbols;
}

bool RowSymbols::FitFloats(DType dtype, unsigned shift, uint64_t base, uint64_t magnitudes) {
  const uint64_t finite = InfinityOf(dtype) >> shift;
  return magnitudes >= 1 && magnitudes <= kMaxMagnitudes && base < finite &&
         magnitudes <= finite - base;
}

RowSymbols RowSymbols::Floats(DType dtype, unsigned shift, uint32_t base, uint32_t magnitudes) {
  RowSymbols symbols;
  const bool is_half = dtype == DType::kF16;
  // The exponent of F16 is the lower part of that of F32, less 112.
  symbols.to_type_ = is_half ? 0x1p-112f : 1.0f;
  symbols.drop_ = shift + (is_half ? 13 : dtype == DType::kBF16 ? 16 : 0);
  symbols.base_ = base;
  symbols.magnitudes_ = magnitudes;
  symbols.center_.resize(size_t{2} * magnitudes);
  symbols.lower_.resize(size_t{2} * magnitudes);
  for (uint32_t m = 0; m < magnitudes; ++m) {
    const uint32_t pattern = (base + m) << shift;
    const float center = ValueOf(dtype, pattern | (uint32_t{1} << shift) >> 1);
    symbols.center_[magnitudes + m] = center;
    symbols.center_[magnitudes - 1 - m] = -center;
    const float low = m == 0 ? 0.0f : ValueOf(dtype, pattern);
    symbols.lower_[magnitudes + m] = low;
    if (m > 0) symbols.lower_[magnitudes - m] = -low;
  }
  return symbols;
}

uint32_t RowSymbols::Guess(float value) const {
  if (magnitudes_ == 0) {
    const float inside = value > -128.0f ? (value < 127.0f ? value : 127.0f) : -128.0f;
    return static_cast<uint32_t>(inside + 128.5f);
  }
  const uint32_t bits = std::bit_cast<uint32_t>(value * to_type_);
  const uint32_t lead = (bits & 0x7fffffff) >> drop_;
  const uint32_t m = std::clamp(lead, base_, base_ + magnitudes_ - 1) - base_;
  return bits >> 31 != 0 ? magnitudes_ - 1 - m : magnitudes_ + m;
}

}  // namespace qstore::codec
