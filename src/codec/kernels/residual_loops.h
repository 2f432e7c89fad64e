// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/kernels.h"
#include "codec/kernels/portable_loops.h"

#if defined(QSTORE_NO_DEPOSIT)
#include "codec/kernels/byte_fields.h"
#elif defined(__BMI2__)
#include <immintrin.h>
#endif

// Residuals to a prediction, written for compilers to vectorize and compiled anew, with internal
// linkage, for every instruction set. docs/format-coding.md, "GPTQ floats".

namespace qstore::codec {
namespace {

namespace loops {

constexpr size_t kResidualBlock = 256;

inline uint16_t LoadHalf(const uint8_t* at) {
  uint16_t half;
  std::memcpy(&half, at, sizeof(half));
  return half;
}

// Finite values and infinities only: to nearest, ties to even.
inline uint32_t RoundToBf16(float value) {
  const uint32_t bits = FloatBits(value);
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

inline uint32_t RoundToF16(float value) {
  const uint32_t bits = FloatBits(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  const uint32_t normal =
      ((magnitude + 0x0fff + ((magnitude >> 13) & 1)) >> 13) - (uint32_t{127 - 15} << 10);
  // Between 0.5 and 1 an F32 has the spacing of the subnormals: the addition rounds to it.
  const bool is_small = magnitude < (uint32_t{127 - 14} << 23);
  const uint32_t subnormal = FloatBits(FloatFrom(is_small ? magnitude : 0) + 0.5f) - 0x3f000000;
  const uint32_t finite = is_small ? subnormal : normal;
  return sign | (magnitude > 0x477fefff ? 0x7c00 : finite);
}

// What a block's integers say about its values.
template <class Lane>
struct Predictions {
  uint16_t cell[kResidualBlock];    // Of the prediction's magnitude.
  uint16_t sign[kResidualBlock];    // 0xffff for negative ones.
  Lane low_mask[kResidualBlock];    // As many low bits as the residual has in the low stream.
  Lane extra_mask[kResidualBlock];  // As many as the value has beyond its cell.
};

template <class Lane, bool kBf16>
void Predict(const uint8_t* __restrict q, size_t count, const ResidualRun& run,
             Predictions<Lane>* __restrict out) {
  constexpr unsigned kMantissa = kBf16 ? 7 : 10;
  const float scale = run.scale;
  const int32_t zero = run.zero;
  const int32_t exponent = run.exponent;
  const int32_t width = run.width;
  const uint32_t floor = (run.exponent - 1) << kMantissa;
  for (size_t i = 0; i < count; ++i) {
    const int32_t steps = q[i] - zero;
    const float value = scale * static_cast<float>(steps);
    const uint32_t pattern = kBf16 ? RoundToBf16(value) : RoundToF16(value);
    const uint32_t magnitude = pattern & 0x7fff;
    const int32_t octaves = static_cast<int32_t>(magnitude >> kMantissa) - exponent;
    // Masks, since a condition would keep the loop from being vectorized.
    const uint32_t moved = steps != 0 ? ~0u : 0u;
    const int32_t above = octaves > 0 ? octaves : 0;
    const int32_t left = width - (above & static_cast<int32_t>(moved));
    const uint32_t bits = static_cast<uint32_t>(left > 0 ? left : 0);
    out->low_mask[i] = static_cast<Lane>((1u << bits) - 1);
    out->cell[i] = static_cast<uint16_t>((magnitude - floor) & moved);
    out->sign[i] = static_cast<uint16_t>((0u - (pattern >> 15)) & moved);
  }
}

// Bits of a value beyond its cell: all of a subnormal, none above the scale's octave.
template <bool kBf16>
inline uint32_t ExtraBits(uint32_t cell, uint32_t exponent) {
  constexpr uint32_t kMantissa = kBf16 ? 7 : 10;
  const uint32_t leading = FloatBits(static_cast<float>(static_cast<int32_t>(cell))) >> 23;
  const uint32_t below = kMantissa + 127 - leading;  // 127 + M for cell 0.
  const uint32_t most = exponent - 1;
  const uint32_t bits = below < most ? below : most;
  const bool none = cell >= (1u << kMantissa) || bits > kMantissa;
  return none ? 0 : bits;
}

// Deposits fields of as many bits as the masks have, one to a lane.
template <class Lane>
uint64_t Deposit(const uint8_t* bytes, uint64_t position, const Lane* masks, size_t count,
                 Lane* out) {
  size_t i = 0;
#if defined(QSTORE_NO_DEPOSIT)
  if constexpr (sizeof(Lane) == 1) {
    for (; i + kRun <= count; i += kRun) {
      Store(out + i, DepositBytes(bytes, &position, Load(masks + i)));
    }
  }
#elif defined(__BMI2__)
  constexpr size_t kLanes = sizeof(uint64_t) / sizeof(Lane);
  for (; i + kLanes <= count; i += kLanes) {
    uint64_t mask;
    std::memcpy(&mask, masks + i, sizeof(mask));
    const uint64_t fields = _pdep_u64(LoadWord(bytes + (position >> 3)) >> (position & 7), mask);
    std::memcpy(out + i, &fields, sizeof(fields));
    position += static_cast<uint64_t>(_mm_popcnt_u64(mask));
  }
#endif
  for (; i < count; ++i) {
    const uint32_t mask = masks[i];
    out[i] = static_cast<Lane>((LoadWord(bytes + (position >> 3)) >> (position & 7)) & mask);
    position += static_cast<uint64_t>(__builtin_popcount(mask));
  }
  return position;
}

// Deposit from a stream that may end: behind the end there are zeros.
template <class Lane>
void Take(BitCursor* cursor, const Lane* masks, size_t count, Lane* out) {
  constexpr size_t kMostBytes = kResidualBlock * sizeof(Lane) + 2 * kReadSlack;
  const uint64_t first = cursor->position >> 3;
  const uint64_t end = (cursor->limit + 7) >> 3;
  if (first + kMostBytes <= end) {
    cursor->position = Deposit(cursor->bytes, cursor->position, masks, count, out);
    return;
  }
  uint8_t rest[kMostBytes] = {};
  if (first < end) std::memcpy(rest, cursor->bytes + first, end - first);
  cursor->position = 8 * first + Deposit(rest, cursor->position & 7, masks, count, out);
}

template <class Lane, bool kBf16>
void ResidualBlock(const uint8_t* __restrict q, const uint8_t* __restrict nibbles, size_t count,
                   const ResidualRun& run, BitCursor* low_bits, BitCursor* extra_bits,
                   uint8_t* __restrict out) {
  const uint32_t exponent = run.exponent;
  constexpr unsigned kMantissa = kBf16 ? 7 : 10;
  Predictions<Lane> p;
  Lane field[kResidualBlock];
  uint16_t pattern[kResidualBlock];
  Predict<Lane, kBf16>(q, count, run, &p);
  Take(low_bits, p.low_mask, count, field);
  const bool exact_zero = exponent <= kMantissa + 1;
  uint32_t extras = 0;
  for (size_t i = 0; i < count; ++i) {
    const auto high = static_cast<uint16_t>((nibbles[i] - 8) * (p.low_mask[i] + 1));
    const auto sum = static_cast<int16_t>(p.cell[i] + high + field[i]);
    const auto is_other = static_cast<uint16_t>(sum < 0 ? 0xffff : 0);
    const auto cell = static_cast<uint16_t>((static_cast<uint16_t>(sum) ^ is_other) - is_other);
    const auto sign = static_cast<uint16_t>((p.sign[i] ^ is_other) & 0x8000);
    const uint32_t bits = ExtraBits<kBf16>(cell, exponent);
    p.extra_mask[i] = static_cast<Lane>((1u << bits) - 1);
    extras |= bits;
    // All but the bits beyond the cell, which are 0 here.
    const uint32_t magnitude =
        ((exponent - 1 - bits) * (1u << kMantissa) + (static_cast<uint32_t>(cell) << bits)) &
        0x7fff;
    const uint32_t of_zero = exact_zero ? magnitude : 0;
    pattern[i] = static_cast<uint16_t>(cell != 0 ? magnitude | sign : of_zero);
  }
  if (extras != 0) {
    Take(extra_bits, p.extra_mask, count, field);
  } else {
    std::memset(field, 0, sizeof(field));
  }
  for (size_t i = 0; i < count; ++i) {
    const auto value = static_cast<uint16_t>(pattern[i] | field[i]);
    std::memcpy(out + 2 * i, &value, sizeof(value));
  }
}

// BF16 with short low fields takes lanes of a byte: eight of them fit a word with the bits that a
// load may waste.
inline void Residual16(const uint8_t* q, const uint8_t* nibbles, const ResidualRun* runs,
                       size_t run_count, BitCursor* low_bits, BitCursor* extra_bits, uint8_t* out) {
  for (const ResidualRun* run = runs; run < runs + run_count; ++run) {
    const auto block =
        run->is_bf16
            ? (run->width <= 7 ? ResidualBlock<uint8_t, true> : ResidualBlock<uint16_t, true>)
            : ResidualBlock<uint16_t, false>;
    for (size_t left = run->count; left > 0;) {
      const size_t n = left < kResidualBlock ? left : kResidualBlock;
      block(q, nibbles, n, *run, low_bits, extra_bits, out);
      q += n;
      nibbles += n;
      out += 2 * n;
      left -= n;
    }
  }
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
