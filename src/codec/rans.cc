// SPDX-License-Identifier: Apache-2.0
#include "codec/rans.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace qstore::codec {
namespace {

using base::ByteReader;
using base::ByteWriter;

constexpr uint32_t kScale = 1u << kRansScaleBits;
// States lie in [kLow, kLow << 16): a word is taken or given whenever one would leave.
constexpr uint32_t kLow = 1u << 16;

using Starts = std::array<uint32_t, 257>;

Starts StartsOf(const Histogram& frequencies) {
  Starts starts{};
  for (unsigned s = 0; s < 256; ++s) starts[s + 1] = starts[s] + frequencies[s];
  return starts;
}

}  // namespace

Histogram NormalizeFrequencies(const Histogram& counts, unsigned scale_bits) {
  const uint32_t scale = 1u << scale_bits;
  double total = 0;
  for (uint32_t c : counts) total += c;
  Histogram frequencies{};
  int64_t left = scale;
  for (unsigned s = 0; s < 256; ++s) {
    if (counts[s] == 0) continue;
    frequencies[s] =
        std::max<uint32_t>(1, static_cast<uint32_t>(std::lround(counts[s] / total * scale)));
    left -= frequencies[s];
  }
  // What rounding left over goes where it changes the code least: to the largest.
  while (left != 0) {
    const auto largest = std::max_element(frequencies.begin(), frequencies.end());
    const int64_t step =
        left > 0 ? left : std::max<int64_t>(left, -static_cast<int64_t>(*largest / 2));
    *largest = static_cast<uint32_t>(*largest + step);
    left -= step;
  }
  return frequencies;
}

double RansBits(const Histogram& counts, const Histogram& frequencies) {
  double bits = 0;
  for (unsigned s = 0; s < 256; ++s) {
    if (counts[s] > 0) bits += counts[s] * (kRansScaleBits - std::log2(frequencies[s]));
  }
  return bits;
}

void EncodeRans(std::span<const uint8_t> symbols, const Histogram& frequencies,
                std::vector<std::byte>* out) {
  ByteWriter writer(out);
  unsigned first = 0;
  while (frequencies[first] == 0) ++first;
  unsigned last = 255;
  while (frequencies[last] == 0) --last;
  writer.Fixed(static_cast<uint8_t>(first));
  writer.Fixed(static_cast<uint8_t>(last));
  for (unsigned s = first; s <= last; ++s) writer.Varint(frequencies[s]);

  const Starts starts = StartsOf(frequencies);
  std::array<uint32_t, kRansStates> states;
  states.fill(kLow);
  std::vector<uint16_t> words;
  words.reserve(symbols.size() / 2 + 16);
  for (size_t i = symbols.size(); i-- > 0;) {
    uint32_t& state = states[i % kRansStates];
    const uint32_t frequency = frequencies[symbols[i]];
    // The largest state that stays in range: ((kLow / kScale) << 16) * frequency - 1.
    if (state >= ((kLow >> kRansScaleBits) << 16) * frequency) {
      words.push_back(static_cast<uint16_t>(state));
      state >>= 16;
    }
    state = ((state / frequency) << kRansScaleBits) + state % frequency + starts[symbols[i]];
  }
  for (uint32_t state : states) writer.Fixed(state);
  writer.Varint(words.size());
  const size_t begin = out->size();
  out->resize(begin + 2 * words.size());
  for (size_t w = 0; w < words.size(); ++w) {
    base::StoreLe(out->data() + begin + 2 * w, words[words.size() - 1 - w]);
  }
}

Status DecodeRans(ByteReader* payload, size_t count, uint8_t* out) {
  const unsigned first = payload->Fixed<uint8_t>();
  const unsigned last = payload->Fixed<uint8_t>();
  Histogram frequencies{};
  uint64_t sum = 0;
  for (unsigned s = first; s <= last; ++s) {
    const uint64_t frequency = payload->Varint();
    sum += frequency;
    // A code of one symbol has another mode; a frequency of the whole scale would not fit the step.
    if (frequency >= kScale) return Corrupt("rANS: frequency out of range");
    frequencies[s] = static_cast<uint32_t>(frequency);
  }
  if (!payload->ok() || sum != kScale) return Corrupt("rANS: frequencies do not sum to the scale");
  const Starts starts = StartsOf(frequencies);
  std::vector<uint8_t> symbol_of(kScale);
  for (unsigned s = first; s <= last; ++s) {
    std::fill(symbol_of.begin() + starts[s], symbol_of.begin() + starts[s + 1],
              static_cast<uint8_t>(s));
  }
  std::array<uint32_t, kRansStates> states;
  for (uint32_t& state : states) state = payload->Fixed<uint32_t>();
  const uint64_t word_count = payload->Varint();
  if (word_count > payload->remaining() / 2) return Corrupt("rANS: words missing");
  const std::byte* words = payload->Bytes(2 * word_count).data();
  uint64_t used = 0;
  for (size_t i = 0; i < count; ++i) {
    uint32_t& state = states[i % kRansStates];
    const uint32_t slot = state & (kScale - 1);
    const uint8_t symbol = symbol_of[slot];
    out[i] = symbol;
    state = frequencies[symbol] * (state >> kRansScaleBits) + slot - starts[symbol];
    if (state < kLow) {
      if (used == word_count) return Corrupt("rANS: words missing");
      state = state << 16 | base::LoadLe<uint16_t>(words + 2 * used);
      ++used;
    }
  }
  const bool ended =
      std::all_of(states.begin(), states.end(), [](uint32_t s) { return s == kLow; });
  if (!payload->ok() || used != word_count || !ended)
    return Corrupt("rANS: stream does not end where it began");
  return {};
}

}  // namespace qstore::codec
