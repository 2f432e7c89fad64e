// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/kernels.h"
#include "codec/kernels/residual_loops.h"

#if defined(QSTORE_NO_DEPOSIT)
#include "codec/kernels/byte_fields.h"
#elif defined(__BMI2__)
#include <immintrin.h>
#endif

// The encoder's half of what residual_loops.h has, compiled anew likewise.

namespace qstore::codec {
namespace {

namespace loops {

// Extracts fields of as many bits as the masks have, one to a lane.
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
#if defined(QSTORE_NO_DEPOSIT)
  if constexpr (sizeof(Lane) == 1) {
    for (; i + kRun <= count; i += kRun) {
      const __m256i mask = Load(masks + i);
      const Joined joined = JoinFields(_mm256_and_si256(Load(fields + i), mask), BitCounts(mask));
      for (int k = 0; k < 4; ++k) put(joined.bits[k], joined.sizes[k]);
    }
  }
#elif defined(__BMI2__)
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

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
