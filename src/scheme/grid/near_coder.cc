// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/near_coder.h"

#include <array>

#include "base/status_macros.h"

namespace qstore::scheme {
namespace {

constexpr uint8_t kPlaceMask = kNearPlaces - 1;

}  // namespace

void EncodeNear(unsigned bits, std::span<const uint8_t> codes, std::span<const uint8_t> nearest,
                std::span<const uint8_t> places, NearScratch* scratch,
                std::vector<std::byte>* out) {
  const unsigned mask = (1u << bits) - 1;
  for (std::vector<uint8_t>& symbols : scratch->symbols) symbols.clear();
  for (size_t i = 0; i < codes.size(); ++i) {
    const unsigned ahead = codes[i] - static_cast<unsigned>(nearest[i]);
    const unsigned symbol = (places[i] & kIsBelow) != 0 ? 0u - ahead : ahead;
    scratch->symbols[places[i] & kPlaceMask].push_back(static_cast<uint8_t>(symbol & mask));
  }
  for (const std::vector<uint8_t>& symbols : scratch->symbols) {
    codec::EncodePlane(symbols, codec::Effort::kRans, out);
  }
}

Status DecodeNear(unsigned bits, base::ByteReader* payload, std::span<const uint8_t> nearest,
                  std::span<const uint8_t> places, NearScratch* scratch, std::span<uint8_t> codes) {
  std::array<size_t, 256> counts = {};
  for (const uint8_t place : places) ++counts[place];
  std::array<const uint8_t*, kNearPlaces> next = {};
  for (unsigned p = 0; p < kNearPlaces; ++p) {
    const size_t count = counts[p] + counts[p | kIsBelow];
    scratch->symbols[p].resize(count + codec::kPlaneSlack);
    QSTORE_ASSIGN(next[p], codec::DecodePlane(payload, count, scratch->symbols[p].data()));
  }
  const unsigned mask = (1u << bits) - 1;
  for (size_t i = 0; i < codes.size(); ++i) {
    const unsigned symbol = *next[places[i] & kPlaceMask]++;
    const unsigned ahead = (places[i] & kIsBelow) != 0 ? 0u - symbol : symbol;
    codes[i] = static_cast<uint8_t>((nearest[i] + ahead) & mask);
  }
  return {};
}

}  // namespace qstore::scheme
