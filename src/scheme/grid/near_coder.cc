// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/near_coder.h"

#include "base/status_macros.h"

namespace qstore::scheme {
namespace {

constexpr uint8_t kPlaceMask = kNearPlaces - 1;

// 0, -1, 1, -2, 2, ... of numbers modulo 2^bits.
unsigned SymbolOf(unsigned step, unsigned bits) {
  const unsigned mask = (1u << bits) - 1;
  const bool is_negative = (step & mask) >> (bits - 1) != 0;
  return (is_negative ? ~step << 1 | 1 : step << 1) & mask;
}
unsigned StepOf(unsigned symbol) { return symbol >> 1 ^ (0u - (symbol & 1)); }

}  // namespace

void EncodeNear(unsigned bits, std::span<const uint8_t> codes, std::span<const uint8_t> nearest,
                std::span<const uint8_t> places, NearScratch* scratch,
                std::vector<std::byte>* out) {
  scratch->symbols.resize(codes.size());
  scratch->contexts.resize(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) {
    const unsigned ahead = codes[i] - static_cast<unsigned>(nearest[i]);
    const unsigned step = (places[i] & kIsBelow) != 0 ? 0u - ahead : ahead;
    scratch->symbols[i] = static_cast<uint8_t>(SymbolOf(step, bits));
    scratch->contexts[i] = places[i] & kPlaceMask;
  }
  const codec::Contexts contexts{scratch->contexts, 0, kNearPlaces};
  codec::CountByContext(scratch->symbols, contexts, &scratch->rans);
  codec::EncodeContextRans(scratch->symbols, contexts, &scratch->rans, out);
}

Status DecodeNear(unsigned bits, base::ByteReader* payload, std::span<const uint8_t> nearest,
                  std::span<const uint8_t> places, NearScratch* scratch, std::span<uint8_t> codes) {
  scratch->symbols.resize(codes.size());
  scratch->contexts.resize(codes.size());
  for (size_t i = 0; i < codes.size(); ++i) scratch->contexts[i] = places[i] & kPlaceMask;
  QSTORE_TRY(codec::DecodeContextRans(payload, {scratch->contexts, 0, kNearPlaces}, codes.size(),
                                      &scratch->rans, scratch->symbols.data()));
  const unsigned mask = (1u << bits) - 1;
  for (size_t i = 0; i < codes.size(); ++i) {
    const unsigned step = StepOf(scratch->symbols[i]);
    const unsigned ahead = (places[i] & kIsBelow) != 0 ? 0u - step : step;
    codes[i] = static_cast<uint8_t>((nearest[i] + ahead) & mask);
  }
  return {};
}

}  // namespace qstore::scheme
