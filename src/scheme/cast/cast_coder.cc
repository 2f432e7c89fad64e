// SPDX-License-Identifier: Apache-2.0
#include "scheme/cast/cast_coder.h"

#include <bit>
#include <cstdint>
#include <cstring>

#include "base/float_convert.h"
#include "base/status_macros.h"
#include "codec/plane.h"

namespace qstore::scheme {
namespace {

float ToFloat(DType dtype, const std::byte* at) {
  if (dtype == DType::kF32) return std::bit_cast<float>(base::LoadLe<uint32_t>(at));
  const auto bits = base::LoadLe<uint16_t>(at);
  return dtype == DType::kBF16 ? base::Bf16ToFloat(bits) : base::Fp16ToFloat(bits);
}

template <class T>
T Cast(DType dtype, DType parent_dtype, const std::byte* parent) {
  const float value = ToFloat(parent_dtype, parent);
  if (dtype == DType::kF32) return static_cast<T>(std::bit_cast<uint32_t>(value));
  return static_cast<T>(dtype == DType::kBF16 ? base::FloatToBf16(value)
                                              : base::FloatToFp16(value));
}

// Sign-magnitude patterns to integers in the order of the numbers, and back.
template <class T>
T Ordinal(T pattern) {
  constexpr T kSign = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
  return static_cast<T>(pattern & kSign ? ~pattern : pattern | kSign);
}
template <class T>
T PatternOf(T ordinal) {
  constexpr T kSign = static_cast<T>(T{1} << (8 * sizeof(T) - 1));
  return static_cast<T>(ordinal & kSign ? ordinal & ~kSign : ~ordinal);
}

template <class T>
T ZigZag(T difference) {
  const T sign = static_cast<T>(difference >> (8 * sizeof(T) - 1) ? ~T{0} : T{0});
  return static_cast<T>(static_cast<T>(difference << 1) ^ sign);
}
template <class T>
T UnZigZag(T coded) {
  return static_cast<T>((coded >> 1) ^ static_cast<T>(-static_cast<T>(coded & 1)));
}

template <class T>
void Encode(DType dtype, DType parent_dtype, codec::Effort effort, std::span<const std::byte> raw,
            std::span<const std::byte> parent, codec::PlaneScratch* scratch,
            std::vector<std::byte>* out) {
  const size_t count = raw.size() / sizeof(T);
  const size_t parent_size = DTypeBits(parent_dtype) / 8;
  uint8_t* planes[sizeof(T)];
  for (size_t p = 0; p < sizeof(T); ++p) planes[p] = scratch->Get(p, count);
  for (size_t i = 0; i < count; ++i) {
    const T cast = Cast<T>(dtype, parent_dtype, parent.data() + i * parent_size);
    const T value = base::LoadLe<T>(raw.data() + i * sizeof(T));
    const T coded = ZigZag(static_cast<T>(Ordinal(value) - Ordinal(cast)));
    for (size_t p = 0; p < sizeof(T); ++p) planes[p][i] = static_cast<uint8_t>(coded >> (8 * p));
  }
  for (size_t p = 0; p < sizeof(T); ++p) codec::EncodePlane({planes[p], count}, effort, out);
}

template <class T>
Status Decode(DType dtype, DType parent_dtype, base::ByteReader* payload,
              std::span<const std::byte> parent, codec::PlaneScratch* scratch,
              std::span<std::byte> raw) {
  const size_t count = raw.size() / sizeof(T);
  const size_t parent_size = DTypeBits(parent_dtype) / 8;
  const uint8_t* planes[sizeof(T)];
  for (size_t p = 0; p < sizeof(T); ++p) {
    QSTORE_ASSIGN(planes[p], codec::DecodePlane(payload, count, scratch->Get(p, count)));
  }
  for (size_t i = 0; i < count; ++i) {
    T coded = 0;
    for (size_t p = 0; p < sizeof(T); ++p)
      coded = static_cast<T>(coded | T{planes[p][i]} << (8 * p));
    const T cast = Cast<T>(dtype, parent_dtype, parent.data() + i * parent_size);
    base::StoreLe(raw.data() + i * sizeof(T),
                  PatternOf(static_cast<T>(Ordinal(cast) + UnZigZag(coded))));
  }
  return {};
}

}  // namespace

void EncodeCastDelta(DType dtype, DType parent_dtype, codec::Effort effort,
                     std::span<const std::byte> raw, std::span<const std::byte> parent,
                     codec::PlaneScratch* scratch, std::vector<std::byte>* out) {
  if (dtype == DType::kF32) {
    Encode<uint32_t>(dtype, parent_dtype, effort, raw, parent, scratch, out);
  } else {
    Encode<uint16_t>(dtype, parent_dtype, effort, raw, parent, scratch, out);
  }
}

Status DecodeCastDelta(DType dtype, DType parent_dtype, base::ByteReader* payload,
                       std::span<const std::byte> parent, codec::PlaneScratch* scratch,
                       std::span<std::byte> raw) {
  return dtype == DType::kF32
             ? Decode<uint32_t>(dtype, parent_dtype, payload, parent, scratch, raw)
             : Decode<uint16_t>(dtype, parent_dtype, payload, parent, scratch, raw);
}

}  // namespace qstore::scheme
