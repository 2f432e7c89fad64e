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

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
