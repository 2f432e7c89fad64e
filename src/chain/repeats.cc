// SPDX-License-Identifier: Apache-2.0
#include "chain/repeats.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/bytes.h"

namespace qstore::chain {
namespace {

using Word = uint16_t;

// Places are the words whose hash, with the next, has these bits zero: repeated content has the
// same places, wherever it lies. One in 1024 words of noise is a place; zero is none.
constexpr unsigned kPlaceBits = 10;

// Content is compared over this many words from its place on.
constexpr size_t kCompareBytes = 16;

// Share of places seen before that is worth a closer look, and number of places to judge by.
constexpr double kRepeated = 0.25;
constexpr size_t kFewPlaces = 16;

constexpr size_t kBlock = 32;

bool IsPlace(Word word, Word next) {
  const auto first = static_cast<Word>(word * 0x9e37u);
  const auto second = static_cast<Word>(next * 0x7f4bu);
  const auto hash = static_cast<Word>(first + second + 0x55a3u);
  return hash >> (16 - kPlaceBits) == 0;
}

// Whether a place is among the `kBlock` words from `at` on. Plain arrays and 16-bit lanes, for the
// compiler to vectorize.
bool HasPlace(const std::byte* at) {
  Word words[kBlock];
  Word next[kBlock];
  std::memcpy(words, at, sizeof(words));
  std::memcpy(next, at + sizeof(Word), sizeof(next));
  Word any = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    any = static_cast<Word>(any | (IsPlace(words[i], next[i]) ? 1 : 0));
  }
  return any != 0;
}

uint64_t Fingerprint(const std::byte* at) {
  const uint64_t low = base::LoadLe<uint64_t>(at) * 0x9e3779b97f4a7c15u;
  const uint64_t high = base::LoadLe<uint64_t>(at + 8) * 0xc2b2ae3d27d4eb4fu;
  return low ^ (high << 31 | high >> 33);
}

}  // namespace

bool MayRepeat(std::span<const std::byte> raw) {
  std::vector<uint64_t> seen;
  const size_t words = raw.size() / sizeof(Word);
  const size_t most = words / 64 + kFewPlaces;
  for (size_t block = 0; block + kBlock + kCompareBytes / sizeof(Word) <= words; block += kBlock) {
    const std::byte* at = raw.data() + block * sizeof(Word);
    if (!HasPlace(at)) continue;
    for (size_t i = 0; i < kBlock; ++i) {
      const std::byte* word = at + i * sizeof(Word);
      if (IsPlace(base::LoadLe<Word>(word), base::LoadLe<Word>(word + sizeof(Word)))) {
        seen.push_back(Fingerprint(word));
      }
    }
    if (seen.size() > most) return true;
  }
  // Noise has places: content without is of a kind of its own.
  if (seen.size() < kFewPlaces) return words > kFewPlaces << (kPlaceBits + 1);
  const size_t places = seen.size();
  std::sort(seen.begin(), seen.end());
  const auto distinct = static_cast<size_t>(std::unique(seen.begin(), seen.end()) - seen.begin());
  return static_cast<double>(places - distinct) > kRepeated * static_cast<double>(places);
}

}  // namespace qstore::chain
