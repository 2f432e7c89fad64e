// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/kernels.h"
#include "codec/kernels/portable_loops.h"

#if defined(__BMI2__)
#include <immintrin.h>
#endif

// Residuals to a prediction, written for compilers to vectorize and compiled anew, with internal
// linkage, for every instruction set. docs/format-coding.md, "GPTQ floats" and "GPTQ integers".

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

// Deposits or extracts fields of as many bits as the masks have, one to a lane.
template <class Lane>
uint64_t Deposit(const uint8_t* bytes, uint64_t position, const Lane* masks, size_t count,
                 Lane* out) {
  size_t i = 0;
#if defined(__BMI2__)
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

template <class Lane>
void Extract(const Lane* fields, const Lane* masks, size_t count, BitSink* sink) {
  uint8_t* at = sink->bytes + (sink->position >> 3);
  uint64_t used = sink->position & 7;
  uint64_t word = *at & ((1u << used) - 1);
  uint64_t position = sink->position;
  const auto put = [&](uint64_t bits, uint64_t size) {
    word |= bits << used;
    std::memcpy(at, &word, sizeof(word));
    used += size;
    position += size;
    at += used >> 3;
    word >>= used & 56;
    used &= 7;
  };
  size_t i = 0;
#if defined(__BMI2__)
  constexpr size_t kLanes = sizeof(uint64_t) / sizeof(Lane);
  for (; i + kLanes <= count; i += kLanes) {
    uint64_t mask;
    uint64_t values;
    std::memcpy(&mask, masks + i, sizeof(mask));
    std::memcpy(&values, fields + i, sizeof(values));
    put(_pext_u64(values, mask), static_cast<uint64_t>(_mm_popcnt_u64(mask)));
  }
#endif
  for (; i < count; ++i) {
    const uint32_t mask = masks[i];
    put(fields[i] & mask, static_cast<uint64_t>(__builtin_popcount(mask)));
  }
  sink->position = position;
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

template <class Lane, bool kBf16>
void PutResidualBlock(const uint8_t* __restrict q, const uint8_t* __restrict values, size_t count,
                      const ResidualRun& run, uint32_t place, ResidualSinks* sinks,
                      uint8_t* __restrict nibbles) {
  constexpr unsigned kMantissa = kBf16 ? 7 : 10;
  Predictions<Lane> p;
  Lane low[kResidualBlock] = {};
  Lane extra[kResidualBlock] = {};
  uint8_t is_listed[kResidualBlock];
  Predict<Lane, kBf16>(q, count, run, &p);
  const uint32_t exponent = run.exponent;
  const uint32_t floor = (exponent - 1) << kMantissa;
  const uint32_t most_of_zero = exponent <= kMantissa + 1 ? 0x7fff : 0;
  uint32_t any = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t value = LoadHalf(values + 2 * i);
    const uint32_t magnitude = value & 0x7fff;
    const uint32_t field = magnitude >> kMantissa;
    const uint32_t own = field > 0 ? field : 1;
    const uint32_t significand = magnitude - ((own - 1) << kMantissa);
    const bool above = magnitude >= exponent << kMantissa;
    const uint32_t below = above ? 0 : exponent - own;
    const uint32_t down = below < 16 ? below : 16;
    const uint32_t cell = above ? magnitude - floor : significand >> down;
    const bool is_inexact = static_cast<int>(cell == 0) & static_cast<int>(value > most_of_zero);
    const bool is_other = (value >> 15) != (p.sign[i] & 1u);
    const auto signed_cell = static_cast<int32_t>(is_other ? 0 - cell : cell);
    const int32_t difference = signed_cell - p.cell[i];
    // A division by a power of two, rounded down.
    const int32_t unit = p.low_mask[i] + 1;
    const int32_t rest = difference & p.low_mask[i];
    const int32_t offset = difference + 8 * unit;
    const bool is_far = static_cast<uint32_t>(offset) >= static_cast<uint32_t>(16 * unit);
    // Masks, since a condition would keep the loop from being vectorized.
    const uint32_t kept = (is_inexact ? 0u : ~0u) & (is_far ? 0u : ~0u);
    const uint32_t coded = (cell & kept) | (p.cell[i] & ~kept);
    const uint32_t bits = ExtraBits<kBf16>(coded, exponent);
    is_listed[i] = static_cast<uint8_t>(~kept & 1);
    any |= ~kept;
    low[i] = static_cast<Lane>(static_cast<uint32_t>(rest) & kept);
    extra[i] = static_cast<Lane>(significand & ((1u << bits) - 1) & kept);
    p.extra_mask[i] = static_cast<Lane>((1u << bits) - 1);
    // Exact in F32: both are small, and unit is a power of two.
    const auto high = static_cast<uint32_t>(
        static_cast<int32_t>(static_cast<float>(offset - rest) / static_cast<float>(unit)));
    nibbles[i] = static_cast<uint8_t>((high & kept) | (8 & ~kept));
  }
  Extract(low, p.low_mask, count, &sinks->low_bits);
  Extract(extra, p.extra_mask, count, &sinks->extra_bits);
  for (uint32_t i = 0; any != 0 && i < count; ++i) {
    if (is_listed[i] != 0) sinks->listed[sinks->listed_count++] = place + i;
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

inline void PutResidual16(const uint8_t* q, const uint8_t* values, size_t count,
                          const ResidualRun* run, uint32_t place, ResidualSinks* sinks,
                          uint8_t* nibbles) {
  const auto block =
      run->is_bf16
          ? (run->width <= 7 ? PutResidualBlock<uint8_t, true> : PutResidualBlock<uint16_t, true>)
          : PutResidualBlock<uint16_t, false>;
  for (size_t i = 0; i < count; i += kResidualBlock) {
    const size_t n = count - i < kResidualBlock ? count - i : kResidualBlock;
    block(q + i, values + 2 * i, n, *run, place + static_cast<uint32_t>(i), sinks, nibbles + i);
  }
}

// The integer of `bits` bits that the parent's integer k steps above its zero point leads to.
inline int32_t PredictInteger(int32_t steps, float ratio, int32_t zero, int32_t most) {
  constexpr float kRounding = 12582912.0f;  // 1.5 * 2^23: what is added to it rounds to integers.
  constexpr float kFar = 65536.0f;
  float moved = ratio * static_cast<float>(steps);
  moved = moved > -kFar ? moved : -kFar;
  moved = moved < kFar ? moved : kFar;
  const auto rounded =
      static_cast<int32_t>(FloatBits(moved + kRounding)) - static_cast<int32_t>(0x4b400000);
  const int32_t predicted = zero + rounded;
  const int32_t floored = predicted > 0 ? predicted : 0;
  return floored < most ? floored : most;
}

inline void IntegerResidual(const uint8_t* __restrict parent, const uint8_t* __restrict nibbles,
                            const uint8_t* __restrict low, size_t count, const IntegerRun* run,
                            uint8_t* __restrict q) {
  const float* __restrict ratio = run->ratio;
  const uint8_t* __restrict parent_zero = run->parent_zero;
  const uint8_t* __restrict zero = run->zero;
  const auto most = static_cast<int32_t>((1u << run->bits) - 1);
  const auto unit = static_cast<int32_t>(1u << run->width);
  for (size_t i = 0; i < count; ++i) {
    const int32_t predicted = PredictInteger(parent[i] - parent_zero[i], ratio[i], zero[i], most);
    q[i] = static_cast<uint8_t>((predicted + (nibbles[i] - 8) * unit + low[i]) & most);
  }
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
