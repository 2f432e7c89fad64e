// SPDX-License-Identifier: Apache-2.0
#include "codec/context_rans.h"

#include <algorithm>
#include <array>

#include "base/status_macros.h"
#include "codec/rans.h"

namespace qstore::codec {
namespace {

using base::ByteReader;
using base::ByteWriter;

constexpr uint32_t kScale = 1u << kContextScaleBits;
constexpr uint32_t kLow = 1u << 16;
constexpr size_t kSymbols = 256;

struct Range {
  unsigned first = 256;
  unsigned last = 0;
};

Range RangeOf(const Histogram& counts) {
  Range range;
  for (unsigned s = 0; s < kSymbols; ++s) {
    if (counts[s] == 0) continue;
    range.first = std::min(range.first, s);
    range.last = s;
  }
  return range.first > range.last ? Range{0, 0} : range;
}

uint32_t StretchOf(uint32_t start, uint32_t frequency) { return start << 16 | frequency; }

// Fills the stretches of one context, and writes its frequencies.
void PutContext(const Histogram& counts, ByteWriter* writer, uint32_t* stretches) {
  const Range range = RangeOf(counts);
  writer->Fixed(static_cast<uint8_t>(range.first));
  writer->Fixed(static_cast<uint8_t>(range.last));
  if (range.first == range.last) {
    stretches[range.first] = StretchOf(0, kScale);
    return;
  }
  const Histogram frequencies = NormalizeFrequencies(counts, kContextScaleBits);
  uint32_t start = 0;
  for (unsigned s = range.first; s <= range.last; ++s) {
    writer->Varint(frequencies[s]);
    stretches[s] = StretchOf(start, frequencies[s]);
    start += frequencies[s];
  }
}

Status ReadContext(ByteReader* payload, uint32_t* stretches, uint8_t* symbol_of) {
  const unsigned first = payload->Fixed<uint8_t>();
  const unsigned last = payload->Fixed<uint8_t>();
  if (!payload->ok() || first > last) return Corrupt("context rANS: symbols out of range");
  uint32_t start = 0;
  for (unsigned s = first; s <= last; ++s) {
    const uint64_t frequency = first == last ? kScale : payload->Varint();
    // What is not all of a context's symbols is no more than the scale; all is checked below.
    if (frequency > kScale - start) return Corrupt("context rANS: frequency out of range");
    stretches[s] = StretchOf(start, static_cast<uint32_t>(frequency));
    std::fill_n(symbol_of + start, frequency, static_cast<uint8_t>(s));
    start += static_cast<uint32_t>(frequency);
  }
  if (!payload->ok() || start != kScale) {
    return Corrupt("context rANS: frequencies do not sum to the scale");
  }
  return {};
}

}  // namespace

void EncodeContextRans(std::span<const uint8_t> symbols, std::span<const uint8_t> contexts,
                       size_t context_count, ContextRansScratch* scratch,
                       std::vector<std::byte>* out) {
  std::vector<Histogram> counts(context_count, Histogram{});
  for (size_t i = 0; i < symbols.size(); ++i) ++counts[contexts[i]][symbols[i]];
  ByteWriter writer(out);
  scratch->stretches.assign(context_count * kSymbols, 0);
  for (size_t c = 0; c < context_count; ++c) {
    PutContext(counts[c], &writer, scratch->stretches.data() + c * kSymbols);
  }
  std::array<uint32_t, kRansStates> states;
  states.fill(kLow);
  std::vector<uint16_t>& words = scratch->words;
  words.clear();
  for (size_t i = symbols.size(); i-- > 0;) {
    uint32_t& state = states[i % kRansStates];
    const uint32_t stretch = scratch->stretches[contexts[i] * kSymbols + symbols[i]];
    const uint32_t frequency = stretch & 0xffff;
    // The largest state that stays in range: ((kLow / kScale) << 16) * frequency - 1.
    if (state >= (uint64_t{kLow >> kContextScaleBits} << 16) * frequency) {
      words.push_back(static_cast<uint16_t>(state));
      state >>= 16;
    }
    state = ((state / frequency) << kContextScaleBits) + state % frequency + (stretch >> 16);
  }
  for (const uint32_t state : states) writer.Fixed(state);
  writer.Varint(words.size());
  const size_t begin = out->size();
  out->resize(begin + 2 * words.size());
  for (size_t w = 0; w < words.size(); ++w) {
    base::StoreLe(out->data() + begin + 2 * w, words[words.size() - 1 - w]);
  }
}

Status DecodeContextRans(ByteReader* payload, std::span<const uint8_t> contexts,
                         size_t context_count, ContextRansScratch* scratch, uint8_t* out) {
  scratch->symbol_of.resize(context_count * kScale);
  scratch->stretches.resize(context_count * kSymbols);
  for (size_t c = 0; c < context_count; ++c) {
    QSTORE_TRY(ReadContext(payload, scratch->stretches.data() + c * kSymbols,
                           scratch->symbol_of.data() + c * kScale));
  }
  std::array<uint32_t, kRansStates> states;
  for (uint32_t& state : states) state = payload->Fixed<uint32_t>();
  const uint64_t word_count = payload->Varint();
  if (!payload->ok() || word_count > payload->remaining() / 2) {
    return Corrupt("context rANS: words missing");
  }
  const std::byte* words = payload->Bytes(2 * word_count).data();
  uint64_t used = 0;
  for (size_t i = 0; i < contexts.size(); ++i) {
    uint32_t& state = states[i % kRansStates];
    const uint32_t slot = state & (kScale - 1);
    const uint8_t symbol = scratch->symbol_of[contexts[i] * size_t{kScale} + slot];
    const uint32_t stretch = scratch->stretches[contexts[i] * kSymbols + symbol];
    out[i] = symbol;
    state = (stretch & 0xffff) * (state >> kContextScaleBits) + slot - (stretch >> 16);
    if (state < kLow) {
      if (used == word_count) return Corrupt("context rANS: words missing");
      state = state << 16 | base::LoadLe<uint16_t>(words + 2 * used);
      ++used;
    }
  }
  const bool ended =
      std::all_of(states.begin(), states.end(), [](uint32_t s) { return s == kLow; });
  if (used != word_count || !ended) {
    return Corrupt("context rANS: stream does not end where it began");
  }
  return {};
}

}  // namespace qstore::codec
