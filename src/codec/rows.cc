// SPDX-License-Identifier: Apache-2.0
#include "codec/rows.h"

#include <algorithm>
#include <cstring>

#include "base/status_macros.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

using base::ByteReader;
using base::ByteWriter;

// Mantissa bits that join the exponent in a symbol: more would gain little, as the distribution is
// nearly even over an eighth of an octave.
constexpr unsigned kLead = 3;

constexpr size_t kFewest = 8;

unsigned MantissaBits(DType dtype) {
  if (dtype == DType::kF16) return 10;
  return dtype == DType::kBF16 ? 7 : 23;
}

// The 16- or 32-bit elements with their parts.
template <class T>
struct Floats {
  static constexpr T kMagnitude = static_cast<T>(~T{0}) >> 1;

  static T Load(const std::byte* raw, size_t i) {
    T value;
    std::memcpy(&value, raw + i * sizeof(T), sizeof(T));
    return value;
  }

  static bool Encode(DType dtype, const RowShape& shape, size_t limit,
                     std::span<const std::byte> raw, PlaneScratch* planes, RowScratch* scratch,
                     std::vector<std::byte>* out) {
    const size_t count = raw.size() / sizeof(T);
    const unsigned shift = MantissaBits(dtype) - kLead;
    T lowest = kMagnitude;
    T highest = 0;
    for (size_t i = 0; i < count; ++i) {
      const T magnitude = Load(raw.data(), i) & kMagnitude;
      lowest = std::min(lowest, magnitude);
      highest = std::max(highest, magnitude);
    }
    const auto base = static_cast<uint32_t>(lowest >> shift);
    const uint32_t magnitudes = static_cast<uint32_t>(highest >> shift) - base + 1;
    if (magnitudes < 2 || !RowSymbols::FitFloats(dtype, shift, base, magnitudes)) return false;
    scratch->symbols.resize(count);
    for (size_t i = 0; i < count; ++i) {
      const T value = Load(raw.data(), i);
      const uint32_t m = static_cast<uint32_t>((value & kMagnitude) >> shift) - base;
      const bool negative = value > kMagnitude;
      scratch->symbols[i] = static_cast<uint16_t>(negative ? magnitudes - 1 - m : magnitudes + m);
    }
    const size_t begin = out->size();
    ByteWriter writer(out);
    writer.Fixed(static_cast<uint8_t>(shift));
    writer.Varint(base);
    writer.Varint(magnitudes);
    for (unsigned bit = 0; bit < shift; bit += 8) {
      const auto mask = static_cast<uint8_t>((1u << std::min(8u, shift - bit)) - 1);
      uint8_t* rest = planes->Get(0, count);
      for (size_t i = 0; i < count; ++i) {
        rest[i] = static_cast<uint8_t>((Load(raw.data(), i) >> bit) & mask);
      }
      EncodePlane({rest, count}, Effort::kRans, out);
    }
    const size_t used = out->size() - begin;
    const auto symbols = RowSymbols::Floats(dtype, shift, base, magnitudes);
    if (used < limit && EncodeRowStream(symbols, shape, limit - used, scratch, out)) return true;
    out->resize(begin);
    return false;
  }

  static Status Decode(DType dtype, const RowShape& shape, ByteReader* payload,
                       PlaneScratch* planes, RowScratch* scratch, std::span<std::byte> raw) {
    const size_t count = raw.size() / sizeof(T);
    const unsigned shift = payload->Fixed<uint8_t>();
    const uint64_t base = payload->Varint();
    const uint64_t magnitudes = payload->Varint();
    if (!payload->ok() || shift > MantissaBits(dtype) || shift + kLead < MantissaBits(dtype) ||
        !RowSymbols::FitFloats(dtype, shift, base, magnitudes)) {
      return Corrupt("rows: split outside the element");
    }
    const uint8_t* rest[3] = {};
    const size_t rest_count = (shift + 7) / 8;
    for (size_t p = 0; p < rest_count; ++p) {
      QSTORE_ASSIGN(rest[p], DecodePlane(payload, count, planes->Get(p, count)));
    }
    const auto symbols = RowSymbols::Floats(dtype, shift, static_cast<uint32_t>(base),
                                            static_cast<uint32_t>(magnitudes));
    QSTORE_TRY(DecodeRowStream(symbols, shape, payload, scratch));
    const T mask = static_cast<T>((T{1} << shift) - 1);
    for (size_t i = 0; i < count; ++i) {
      const uint32_t s = scratch->symbols[i];
      const bool negative = s < magnitudes;
      const uint64_t m = base + (negative ? magnitudes - 1 - s : s - magnitudes);
      T low = 0;
      for (size_t p = 0; p < rest_count; ++p) low |= static_cast<T>(T{rest[p][i]} << (8 * p));
      T value = static_cast<T>(m << shift) | (low & mask);
      if (negative) value |= static_cast<T>(kMagnitude + 1);
      std::memcpy(raw.data() + i * sizeof(T), &value, sizeof(T));
    }
    return {};
  }
};

}  // namespace

bool IsCodedRows(DType dtype, const RowShape& shape) {
  return (dtype == DType::kI8 || IsCodedFloat(dtype)) && shape.rows >= kFewest &&
         shape.columns >= kFewest;
}

bool EncodeRows(DType dtype, const RowShape& shape, size_t limit, std::span<const std::byte> raw,
                PlaneScratch* planes, RowScratch* scratch, std::vector<std::byte>* out) {
  if (dtype == DType::kF32)
    return Floats<uint32_t>::Encode(dtype, shape, limit, raw, planes, scratch, out);
  if (dtype != DType::kI8)
    return Floats<uint16_t>::Encode(dtype, shape, limit, raw, planes, scratch, out);
  scratch->symbols.resize(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    scratch->symbols[i] =
        static_cast<uint16_t>(static_cast<int>(static_cast<int8_t>(raw[i])) + 128);
  }
  return EncodeRowStream(RowSymbols::Int8(), shape, limit, scratch, out);
}

Status DecodeRows(DType dtype, const RowShape& shape, ByteReader* payload, PlaneScratch* planes,
                  RowScratch* scratch, std::span<std::byte> raw) {
  if (dtype == DType::kF32)
    return Floats<uint32_t>::Decode(dtype, shape, payload, planes, scratch, raw);
  if (dtype != DType::kI8)
    return Floats<uint16_t>::Decode(dtype, shape, payload, planes, scratch, raw);
  QSTORE_TRY(DecodeRowStream(RowSymbols::Int8(), shape, payload, scratch));
  for (size_t i = 0; i < raw.size(); ++i) {
    raw[i] = static_cast<std::byte>(static_cast<int>(scratch->symbols[i]) - 128);
  }
  return {};
}

}  // namespace qstore::codec
