// SPDX-License-Identifier: Apache-2.0
#include "scheme/repeats.h"

#include <algorithm>
#include <cstdint>

#include "base/bytes.h"
#include "codec/kernels/kernels.h"

namespace qstore::scheme {
namespace {

constexpr size_t kWordBytes = 2;
constexpr size_t kWordsAPlace = 65536 / codec::kPlaceLimit;

// Content is compared over this many bytes from its place on.
constexpr size_t kCompareBytes = 16;

// Share of places seen before that is worth a closer look, and number of places to judge by.
constexpr double kRepeated = 0.25;
constexpr size_t kFewPlaces = 16;

uint64_t Fingerprint(const std::byte* at) {
  const uint64_t low = base::LoadLe<uint64_t>(at) * 0x9e3779b97f4a7c15u;
  const uint64_t high = base::LoadLe<uint64_t>(at + 8) * 0xc2b2ae3d27d4eb4fu;
  return low ^ (high << 31 | high >> 33);
}

}  // namespace

bool MayRepeat(std::span<const std::byte> raw, RepeatScratch* scratch) {
  if (raw.size() < kCompareBytes) return false;
  // Repeated content has the same places, wherever it lies.
  const size_t words = (raw.size() - kCompareBytes) / kWordBytes;
  const size_t most = 16 * (words / kWordsAPlace) + kFewPlaces;
  scratch->places.resize(most + codec::kPlaceSlack);
  const size_t count = codec::ActiveKernels().find_places(
      reinterpret_cast<const uint8_t*>(raw.data()), words, most, scratch->places.data());
  // Noise has as many places as it ought to: content with others is of a kind of its own.
  if (count > most) return true;
  if (count < kFewPlaces) return words > 2 * kFewPlaces * kWordsAPlace;
  auto& seen = scratch->seen;
  seen.clear();
  for (size_t i = 0; i < count; ++i) {
    seen.push_back(Fingerprint(raw.data() + kWordBytes * scratch->places[i]));
  }
  std::sort(seen.begin(), seen.end());
  const auto distinct = static_cast<size_t>(std::unique(seen.begin(), seen.end()) - seen.begin());
  return static_cast<double>(count - distinct) > kRepeated * static_cast<double>(count);
}

}  // namespace qstore::scheme
