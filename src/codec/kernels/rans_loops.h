// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "codec/kernels/kernels.h"

// rANS without intrinsics, for machines without vectors of 8 words, and for the last round.

namespace qstore::codec {
namespace {
namespace loops {

/// One step: the symbol of `state`, which takes a word where it gets low. Without branches: which
/// state takes one is a matter of chance.
inline uint8_t RansStep(const uint32_t* table, uint32_t* state, const uint8_t** word) {
  const uint32_t entry = table[*state & ((1u << kRansTableBits) - 1)];
  const uint32_t high = *state >> kRansTableBits;
  const uint32_t next = (entry >> 20) * high + high + ((entry >> 8) & 0xfff);
  const uint32_t is_low = next < kRansLow ? 1 : 0;
  uint16_t taken;
  std::memcpy(&taken, *word, sizeof(taken));
  *state = next << (16 * is_low) | (taken & (0u - is_low));
  *word += size_t{2} * is_low;
  return static_cast<uint8_t>(entry);
}

inline size_t RansRounds(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                         size_t rounds, uint32_t* states, uint8_t* out) {
  const uint8_t* word = words;
  for (size_t r = 0; r < rounds; ++r) {
    const uint32_t* table = tables + (size_t{contexts[r]} << kRansTableBits);
    for (size_t s = 0; s < kRansStates; ++s) *out++ = RansStep(table, states + s, &word);
  }
  return static_cast<size_t>(word - words) / 2;
}

inline size_t RansSymbols(const uint32_t* tables, const uint8_t* contexts, const uint8_t* words,
                          size_t rounds, uint32_t* states, uint8_t* out) {
  const uint8_t* word = words;
  for (size_t r = 0; r < rounds; ++r) {
    for (size_t s = 0; s < kRansStates; ++s) {
      const uint32_t* table = tables + (size_t{*contexts++} << kRansTableBits);
      *out++ = RansStep(table, states + s, &word);
    }
  }
  return static_cast<size_t>(word - words) / 2;
}

/// The inverse of RansStep: puts a word before *end where the state would get too high.
inline void PutRansStep(const RansCode& code, uint32_t* state, uint16_t** end) {
  // The highest state that stays in range: ((kRansLow >> kRansTableBits) << 16) * frequency - 1.
  constexpr unsigned kRoom = 32 - kRansTableBits;
  const uint32_t frequency = (code.stretch >> kRansTableBits) + 1;
  const uint32_t is_full = *state >= uint64_t{frequency} << kRoom ? 1 : 0;
  (*end)[-1] = static_cast<uint16_t>(*state);
  *end -= is_full;
  const uint32_t kept = *state >> (16 * is_full);
  __extension__ using Wide = unsigned __int128;
  const auto quotient = static_cast<uint32_t>(Wide{code.reciprocal} * kept >> 64);
  *state = kept + code.bias + quotient * ((1u << kRansTableBits) - frequency);
}

template <bool kEach>
size_t PutRans(const RansCode* codes, const uint8_t* contexts, const uint8_t* symbols,
               size_t rounds, uint32_t* states, uint16_t* end) {
  uint16_t* first = end;
  for (size_t i = rounds * kRansStates; i-- > 0;) {
    const size_t context = contexts[kEach ? i : i / kRansStates];
    PutRansStep(codes[256 * context + symbols[i]], &states[i % kRansStates], &first);
  }
  return static_cast<size_t>(end - first);
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
