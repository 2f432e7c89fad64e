// SPDX-License-Identifier: Apache-2.0
#include "codec/context_rans.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "base/status_macros.h"
#include "codec/kernels/rans_loops.h"
#include "codec/rans.h"

namespace qstore::codec {
namespace {

using base::ByteReader;
using base::ByteWriter;

constexpr uint32_t kScale = 1u << kRansTableBits;
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

RansCode CodeOf(uint32_t start, uint32_t frequency) {
  const uint32_t stretch = start | (frequency - 1) << kRansTableBits;
  if (frequency == 1) return {~uint64_t{0}, start + kScale - 1, stretch};
  return {~uint64_t{0} / frequency + 1, start, stretch};
}

// Fills the codes of one context, and writes its frequencies.
void PutContext(const Histogram& counts, ByteWriter* writer, RansCode* codes) {
  const Range range = RangeOf(counts);
  writer->Fixed(static_cast<uint8_t>(range.first));
  writer->Fixed(static_cast<uint8_t>(range.last));
  if (range.first == range.last) {
    codes[range.first] = CodeOf(0, kScale);
    return;
  }
  const Histogram frequencies = NormalizeFrequencies(counts, kRansTableBits);
  uint32_t start = 0;
  for (unsigned s = range.first; s <= range.last; ++s) {
    writer->Varint(frequencies[s]);
    if (frequencies[s] != 0) codes[s] = CodeOf(start, frequencies[s]);
    start += frequencies[s];
  }
}

Status ReadContext(ByteReader* payload, uint32_t* table) {
  const unsigned first = payload->Fixed<uint8_t>();
  const unsigned last = payload->Fixed<uint8_t>();
  if (!payload->ok() || first > last) return Corrupt("context rANS: symbols out of range");
  uint32_t start = 0;
  for (unsigned s = first; s <= last; ++s) {
    const uint64_t frequency = first == last ? kScale : payload->Varint();
    // What is not all of a context's symbols is no more than the scale; all is checked below.
    if (frequency > kScale - start) return Corrupt("context rANS: frequency out of range");
    const uint32_t entry = s | static_cast<uint32_t>(frequency - 1) << 20;
    for (uint32_t i = 0; i < frequency; ++i) table[start + i] = entry | i << 8;
    start += static_cast<uint32_t>(frequency);
  }
  if (!payload->ok() || start != kScale) {
    return Corrupt("context rANS: frequencies do not sum to the scale");
  }
  return {};
}

// Symbols from the last to the first; words from the end of the room to its front. Returns how
// many words.
size_t PutSymbols(std::span<const uint8_t> symbols, const Contexts& contexts, const RansCode* codes,
                  uint32_t* states, uint16_t* end) {
  const size_t rounds = symbols.size() / kRansStates;
  uint16_t* first = end;
  for (size_t i = symbols.size(); i-- > rounds * kRansStates;) {
    const size_t context = contexts.of[i >> contexts.shift];
    loops::PutRansStep(codes[context * kSymbols + symbols[i]], &states[i % kRansStates], &first);
  }
  const Kernels& kernels = ActiveKernels();
  const auto put = contexts.shift == 0 ? kernels.put_rans_symbols : kernels.put_rans_rounds;
  const size_t more = put(codes, contexts.of.data(), symbols.data(), rounds, states, first);
  return static_cast<size_t>(end - first) + more;
}

// Words being taken, and the states that take them.
class Decoder {
 public:
  Decoder(const std::vector<uint32_t>& tables, const Contexts& contexts)
      : tables_(tables.data()), contexts_(contexts) {}

  Status Read(ByteReader* payload) {
    for (uint32_t& state : states_) state = payload->Fixed<uint32_t>();
    left_ = payload->Varint();
    if (!payload->ok() || left_ > payload->remaining() / 2) {
      return Corrupt("context rANS: words missing");
    }
    words_ = reinterpret_cast<const uint8_t*>(payload->Bytes(2 * left_).data());
    return {};
  }

  Status Decode(size_t count, uint8_t* out) {
    const size_t rounds = count / kRansStates;
    while (done_ < rounds) {
      // Each of them may take a word for each state, and read ahead.
      const uint64_t bytes = 2 * left_;
      const uint64_t inside =
          bytes > kRansReadAhead ? (bytes - kRansReadAhead) / (2 * kRansStates) : 0;
      if (inside == 0) break;
      Take(Run(words_, static_cast<size_t>(std::min<uint64_t>(inside, rounds - done_)), out));
    }
    return DecodeEnd(count, out);
  }

 private:
  // The last words are followed by zeros, which nobody may take.
  Status DecodeEnd(size_t count, uint8_t* out) {
    constexpr size_t kMost = 2 * kRansStates + kRansReadAhead;
    std::array<uint8_t, 2 * kMost> room{};
    std::copy_n(words_, std::min<uint64_t>(2 * left_, kMost), room.begin());
    const uint8_t* begin = room.data();
    words_ = begin;
    while (done_ < count / kRansStates) {
      const size_t taken = Run(words_, 1, out);
      if (taken > left_) return Corrupt("context rANS: words missing");
      Take(taken);
    }
    const uint8_t* word = words_;
    for (size_t i = done_ * kRansStates; i < count; ++i) {
      const size_t context = contexts_.of[i >> contexts_.shift];
      out[i] =
          loops::RansStep(tables_ + (context << kRansTableBits), &states_[i % kRansStates], &word);
    }
    const auto taken = static_cast<size_t>(word - words_) / 2;
    if (taken > left_) return Corrupt("context rANS: words missing");
    left_ -= taken;
    const bool ended =
        std::all_of(states_.begin(), states_.end(), [](uint32_t s) { return s == kRansLow; });
    if (left_ != 0 || !ended) {
      return Corrupt("context rANS: stream does not end where it began");
    }
    return {};
  }

  // Decodes so many rounds; returns how many words they took.
  size_t Run(const uint8_t* words, size_t rounds, uint8_t* out) {
    const Kernels& kernels = ActiveKernels();
    uint8_t* to = out + done_ * kRansStates;
    const bool each = contexts_.shift == 0;
    const uint8_t* contexts = contexts_.of.data() + done_ * (each ? kRansStates : 1);
    done_ += rounds;
    return (each ? kernels.rans_symbols : kernels.rans_rounds)(tables_, contexts, words, rounds,
                                                               states_.data(), to);
  }
  void Take(size_t words) {
    words_ += 2 * words;
    left_ -= words;
  }

  const uint32_t* tables_;
  const Contexts& contexts_;
  std::array<uint32_t, kRansStates> states_{};
  const uint8_t* words_ = nullptr;
  uint64_t left_ = 0;  // Words.
  size_t done_ = 0;    // Rounds.
};

}  // namespace

void CountByContext(std::span<const uint8_t> symbols, const Contexts& contexts,
                    ContextRansScratch* scratch) {
  scratch->counts.assign(contexts.count, Histogram{});
  for (size_t i = 0; i < symbols.size(); ++i) {
    ++scratch->counts[contexts.of[i >> contexts.shift]][symbols[i]];
  }
}

void EncodeContextRans(std::span<const uint8_t> symbols, const Contexts& contexts,
                       ContextRansScratch* scratch, std::vector<std::byte>* out) {
  ByteWriter writer(out);
  scratch->codes.resize(contexts.count * kSymbols);
  for (size_t c = 0; c < contexts.count; ++c) {
    PutContext(scratch->counts[c], &writer, scratch->codes.data() + c * kSymbols);
  }
  std::array<uint32_t, kRansStates> states;
  states.fill(kRansLow);
  if (scratch->word_room < symbols.size() + kRansWordSlack) {
    scratch->word_room = symbols.size() + kRansWordSlack;
    scratch->words = std::make_unique_for_overwrite<uint16_t[]>(scratch->word_room);
  }
  uint16_t* const end = scratch->words.get() + scratch->word_room;
  const size_t words = PutSymbols(symbols, contexts, scratch->codes.data(), states.data(), end);
  for (const uint32_t state : states) writer.Fixed(state);
  writer.Varint(words);
  const size_t begin = out->size();
  out->resize(begin + 2 * words);
  for (size_t w = 0; w < words; ++w) base::StoreLe(out->data() + begin + 2 * w, *(end - words + w));
}

double ContextRansCost(const Histogram& counts) {
  const Range range = RangeOf(counts);
  if (range.first == range.last) return 2;
  const Histogram frequencies = NormalizeFrequencies(counts, kRansTableBits);
  double bits = 0;
  double bytes = 2;
  for (unsigned s = range.first; s <= range.last; ++s) {
    bytes += frequencies[s] < 128 ? 1 : 2;
    if (counts[s] != 0) bits += counts[s] * (kRansTableBits - std::log2(frequencies[s]));
  }
  return bytes + bits / 8;
}

Status DecodeContextRans(ByteReader* payload, const Contexts& contexts, size_t count,
                         ContextRansScratch* scratch, uint8_t* out) {
  scratch->tables.resize(contexts.count * kScale);
  for (size_t c = 0; c < contexts.count; ++c) {
    QSTORE_TRY(ReadContext(payload, scratch->tables.data() + c * kScale));
  }
  Decoder decoder(scratch->tables, contexts);
  QSTORE_TRY(decoder.Read(payload));
  return decoder.Decode(count, out);
}

}  // namespace qstore::codec
