// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/predictor.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "scheme/grid/side_bytes.h"

namespace qstore::scheme {
namespace {

void NarrowTo(DType type, const float* values, size_t count, std::span<std::byte> out) {
  if (type == DType::kF32) {
    std::memcpy(out.data(), values, 4 * count);
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    const uint16_t pattern =
        type == DType::kBF16 ? base::FloatToBf16(values[i]) : base::FloatToFp16(values[i]);
    base::StoreLe(out.data() + 2 * i, pattern);
  }
}

// The first code in the lowest bits. REQUIRES: `count` codes fill bytes.
void PackBits(const uint8_t* codes, size_t count, unsigned bits, uint8_t* out) {
  uint32_t word = 0;
  unsigned filled = 0;
  for (size_t i = 0; i < count; ++i) {
    word |= static_cast<uint32_t>(codes[i]) << filled;
    for (filled += bits; filled >= 8; filled -= 8, word >>= 8) *out++ = static_cast<uint8_t>(word);
  }
}

}  // namespace

uint64_t PredictorBytes(uint64_t codes, uint64_t groups) {
  return codes + groups * (sizeof(Extremes) + sizeof(Stored) + 2 * sizeof(float)) +
         2 * kStrip * sizeof(float);
}

Predictor::Predictor(const GridParams& params, DType weights, uint64_t elem_count,
                     PredictorScratch* scratch)
    : params_(params),
      groups_(params.groups.Joined(elem_count)),
      rounding_(params.rounding()),
      kernels_(codec::ActiveRounding()),
      weights_(weights),
      scratch_(*scratch) {
  scratch_.values.resize(kStrip);
  scratch_.scaled.resize(kStrip);
}

void Predictor::Round(const float* values, size_t count, uint8_t* codes) const {
  switch (rounding_.grid) {
    case GridKind::kIntegers:
      return kernels_.integers(values, count, rounding_.low, rounding_.high, codes);
    case GridKind::kE4m3:
      return kernels_.e4m3(values, count, codes);
    case GridKind::kE2m1:
      return kernels_.e2m1(values, count, codes);
    case GridKind::kTable:
      kernels_.steps(values, count, rounding_.steps, codes);
      if (rounding_.codes == nullptr) return;
      for (size_t i = 0; i < count; ++i) codes[i] = rounding_.codes[codes[i]];
  }
}

void Predictor::Codes(const GroupRange& range, std::span<const std::byte> weights,
                      const SidesOf<ParentContent>& sides, std::span<std::byte> out) {
  FindFactors(range, weights, sides);
  const uint64_t first = range.FirstGroup(groups_);
  const bool is_plain = rounding_.bits == 8 && params_.layout == CodeLayout::kPlain;
  if (!is_plain) scratch_.codes.resize(range.elem_count);
  uint8_t* codes = is_plain ? reinterpret_cast<uint8_t*>(out.data()) : scratch_.codes.data();
  const codec::Scaling how = ScalingOf(rounding_, weights_);
  const bool has_zeros = HasZeros(rounding_);
  ForEachRuns(groups_, range, kStrip,
              [&](uint64_t begin, uint64_t run, uint64_t count, uint64_t group) {
                float* values = scratch_.values.data();
                Widen(weights, begin, run * count, values);
                const codec::ScaledRuns runs{run, count, &scratch_.factors[group - first],
                                             has_zeros ? &scratch_.zeros[group - first] : nullptr};
                kernels_.scale(values, runs, how, scratch_.scaled.data());
                Round(scratch_.scaled.data(), run * count, codes + begin);
              });
  if (!is_plain) Pack(range.elem_count, out);
}

void Predictor::Pack(size_t count, std::span<std::byte> out) const {
  auto* bytes = reinterpret_cast<uint8_t*>(out.data());
  const bool is_offset = params_.layout == CodeLayout::kOffset;
  if (rounding_.bits == 8) {
    for (size_t i = 0; i < count; ++i) bytes[i] = scratch_.codes[i] ^ 0x80;
  } else if (rounding_.bits == 4) {
    kernels_.nibbles(scratch_.codes.data(), count, params_.layout == CodeLayout::kHighFirst,
                     is_offset ? 0x88 : 0, bytes);
  } else {
    PackBits(scratch_.codes.data(), count, rounding_.bits, bytes);
  }
}

// A code for each element.
const uint8_t* Predictor::Unpack(std::span<const std::byte> codes, size_t count) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(codes.data());
  const bool is_plain = params_.layout == CodeLayout::kPlain;
  if (rounding_.bits == 8 && is_plain) return bytes;
  scratch_.codes.resize(count);
  if (rounding_.bits == 8) {
    for (size_t i = 0; i < count; ++i) scratch_.codes[i] = bytes[i] ^ 0x80;
    return scratch_.codes.data();
  }
  const unsigned first = params_.layout == CodeLayout::kHighFirst ? 4 : 0;
  const uint8_t flip = params_.layout == CodeLayout::kOffset ? 8 : 0;
  for (size_t i = 0; i + 1 < count; i += 2) {
    scratch_.codes[i] = static_cast<uint8_t>((bytes[i / 2] >> first & 15) ^ flip);
    scratch_.codes[i + 1] = static_cast<uint8_t>((bytes[i / 2] >> (4 - first) & 15) ^ flip);
  }
  return scratch_.codes.data();
}

void Predictor::Values(const GroupRange& range, std::span<const std::byte> packed,
                       const SidesOf<ParentContent>& sides, std::span<std::byte> out) {
  const uint8_t* codes = Unpack(packed, range.elem_count);
  const DType type = ScaleType(rounding_, weights_);
  const float global = GlobalOf(sides);
  float numbers[256];
  for (unsigned code = 0; code < 1u << rounding_.bits; ++code) {
    numbers[code] = NumberOfCode(rounding_, static_cast<uint8_t>(code));
  }
  const uint64_t size = DTypeBits(weights_) / 8;
  ForEachRuns(groups_, range, kStrip,
              [&](uint64_t begin, uint64_t run, uint64_t count, uint64_t group) {
                for (uint64_t r = 0; r < count; ++r, begin += run) {
                  const uint32_t pattern = LoadPattern(type, sides.scales->bytes, group + r);
                  const float factor = ValueFactor(rounding_, weights_, pattern, global);
                  float* values = scratch_.values.data();
                  for (uint64_t i = 0; i < run; ++i) values[i] = numbers[codes[begin + i]] * factor;
                  NarrowTo(weights_, values, run, out.subspan(begin * size, run * size));
                }
              });
}

void Predictor::Scales(const GroupRange& range, std::span<const std::byte> weights,
                       const SidesOf<ParentContent>& sides, std::span<std::byte> out) {
  FindExtremes(range, weights);
  FindStored(GlobalOf(sides));
  const uint64_t size = DTypeBits(ScaleType(rounding_, weights_)) / 8;
  const uint64_t count = std::min<uint64_t>(scratch_.extremes.size(), out.size() / size);
  for (uint64_t g = 0; g < count; ++g) {
    const uint32_t pattern = scratch_.stored[g].pattern;
    for (uint64_t b = 0; b < size; ++b) {
      out[g * size + b] = static_cast<std::byte>(pattern >> (8 * b));
    }
  }
}

void Predictor::Zeros(const GroupRange& range, std::span<const std::byte> weights,
                      std::span<std::byte> out) {
  FindExtremes(range, weights);
  FindStored(1);
  if (rounding_.scale == ScaleKind::kAffine) {
    const uint64_t size = DTypeBits(weights_) / 8;
    for (uint64_t g = 0; g < std::min<uint64_t>(scratch_.extremes.size(), out.size() / size); ++g) {
      const float bias = scratch_.stored[g].zero;
      NarrowTo(weights_, &bias, 1, out.subspan(g * size, size));
    }
    return;
  }
  const uint64_t first = range.FirstGroup(groups_);
  const uint64_t first_elem = ZeroPlace(rounding_, params_.groups, first).elem;
  const unsigned mask = (1u << rounding_.bits) - 1;
  std::fill(out.begin(), out.end(), std::byte{0});
  for (uint64_t g = 0; g < scratch_.extremes.size(); ++g) {
    const ZeroPlace place(rounding_, params_.groups, first + g);
    const int zero = static_cast<int>(scratch_.stored[g].zero);
    const int code = rounding_.has_byte_zeros ? zero : zero - rounding_.low;
    const uint64_t bit = 8 * ZeroBytes(rounding_) * (place.elem - first_elem) + place.shift;
    if (bit / 8 >= out.size()) continue;
    out[bit / 8] |= static_cast<std::byte>((static_cast<unsigned>(code) & mask) << (bit % 8));
  }
}

}  // namespace qstore::scheme
