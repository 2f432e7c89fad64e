// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <numeric>
#include <utility>

#include "base/disk_ids.h"
#include "codec/bits.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"
#include "codec/rans.h"
#include "codec/runs.h"

namespace qstore::codec {
namespace {

using base::ByteWriter;

// Below this many symbols the start-up cost of 32 streams is not worth their speed.
constexpr size_t kMinSymbolsFor32 = 2048;

size_t StreamCount(size_t symbols) { return symbols < kMinSymbolsFor32 ? 1 : kHuffmanStreams; }

void EncodePacked(std::span<const uint8_t> symbols, unsigned width, std::vector<std::byte>* out) {
  ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(PlaneMode::kPacked));
  writer.Fixed(static_cast<uint8_t>(width));
  if (width == 8) {
    writer.Bytes(std::as_bytes(symbols));
    return;
  }
  const size_t begin = out->size();
  const size_t size = (symbols.size() * width + 7) / 8;
  out->resize(begin + size + kReadSlack);
  ActiveKernels().pack(symbols.data(), width, symbols.size(),
                       reinterpret_cast<uint8_t*>(out->data() + begin));
  out->resize(begin + size);
}

void WriteCodeLengths(const CodeLengths& lengths, ByteWriter* writer) {
  unsigned first = 0;
  while (lengths[first] == 0) ++first;
  unsigned last = 255;
  while (lengths[last] == 0) --last;
  writer->Fixed(static_cast<uint8_t>(first));
  writer->Fixed(static_cast<uint8_t>(last));
  for (unsigned s = first; s <= last; s += 2) {
    const unsigned high = s < last ? lengths[s + 1] : 0;
    writer->Fixed(static_cast<uint8_t>(lengths[s] | high << 4));
  }
}

void PutSymbols(std::span<const uint8_t> symbols, const uint32_t* code_and_length,
                BitWriter* bits) {
  for (const uint8_t symbol : symbols) {
    bits->Put(code_and_length[symbol] >> 8, code_and_length[symbol] & 0xff);
  }
}

// Of every round of run * streams symbols, stream s codes those from run * s on. Each is written to
// room of its own first, since how long it gets is not known before.
void EncodeStreams(std::span<const uint8_t> symbols, const uint32_t* code_and_length,
                   ByteWriter* writer) {
  constexpr size_t kRound = kHuffmanRun * kHuffmanStreams;
  const size_t rounds = symbols.size() / kRound;
  const size_t room = (rounds + 1) * kHuffmanRun * kMaxCodeLength / 8 + 2 * BitWriter::kSlack;
  const auto coded = std::make_unique_for_overwrite<uint8_t[]>(room * kHuffmanStreams);
  std::array<BitSink, kHuffmanStreams> streams;
  for (size_t s = 0; s < kHuffmanStreams; ++s) {
    streams[s] = {coded.get() + s * room, 0};
    streams[s].bytes[0] = 0;
  }
  ActiveKernels().put_huffman32(code_and_length, symbols.data(), rounds, streams.data());
  std::array<size_t, kHuffmanStreams> sizes;
  for (size_t s = 0; s < kHuffmanStreams; ++s) {
    const size_t begin = std::min(rounds * kRound + s * kHuffmanRun, symbols.size());
    BitWriter bits(streams[s]);
    PutSymbols(symbols.subspan(begin, std::min(kHuffmanRun, symbols.size() - begin)),
               code_and_length, &bits);
    sizes[s] = bits.Finish();
    writer->Varint(sizes[s]);
  }
  for (size_t s = 0; s < kHuffmanStreams; ++s) {
    writer->Bytes(std::as_bytes(std::span(streams[s].bytes, sizes[s])));
  }
}

void EncodeHuffman(std::span<const uint8_t> symbols, const CodeLengths& lengths,
                   std::vector<std::byte>* out) {
  const auto codes = MakeCodes(lengths);
  uint32_t code_and_length[256];
  for (unsigned s = 0; s < 256; ++s) code_and_length[s] = uint32_t{codes[s]} << 8 | lengths[s];
  ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(PlaneMode::kHuffman));
  writer.Fixed(static_cast<uint8_t>(StreamCount(symbols.size())));
  WriteCodeLengths(lengths, &writer);
  if (StreamCount(symbols.size()) == 1) {
    std::vector<uint8_t> coded(symbols.size() * kMaxCodeLength / 8 + BitWriter::kSlack + 1);
    BitWriter bits(coded.data());
    PutSymbols(symbols, code_and_length, &bits);
    const size_t size = bits.Finish();
    writer.Varint(size);
    writer.Bytes(std::as_bytes(std::span(coded).first(size)));
    return;
  }
  EncodeStreams(symbols, code_and_length, &writer);
}

void EncodeSparse(std::span<const uint8_t> symbols, uint8_t common, size_t exceptions,
                  std::vector<std::byte>* out) {
  ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(PlaneMode::kSparse));
  writer.Fixed(common);
  writer.Varint(exceptions);
  size_t next = 0;
  for (size_t i = 0; i < symbols.size(); ++i) {
    if (symbols[i] == common) continue;
    writer.Varint(i - next);
    writer.Fixed(symbols[i]);
    next = i + 1;
  }
}

struct PlaneCosts {
  unsigned width = 8;
  size_t common_count = 0;
  uint8_t common = 0;
  double packed = 0;
  double sparse = 0;
};

PlaneCosts CountCosts(const Histogram& counts, size_t n) {
  PlaneCosts costs;
  unsigned top = 0;
  for (unsigned s = 0; s < 256; ++s) {
    if (counts[s] > 0) top = s;
    if (counts[s] > costs.common_count) {
      costs.common_count = counts[s];
      costs.common = static_cast<uint8_t>(s);
    }
  }
  costs.width = std::max(1u, static_cast<unsigned>(std::bit_width(top)));
  const auto exceptions = static_cast<double>(n - costs.common_count);
  costs.packed = static_cast<double>(n) * costs.width / 8 + 2;
  const double gap = exceptions > 0 ? static_cast<double>(n) / exceptions : 1;
  costs.sparse = exceptions * (gap > 64 ? 3 : 2) + 8;
  return costs;
}

// An entropy code must get below this share of the packed bits.
constexpr double kWorthwhile = 0.995;

// Whether an eighth of many symbols says that no code is worthwhile: counting all of them takes
// as long as coding them.
bool LooksRandom(std::span<const uint8_t> symbols) {
  constexpr size_t kFew = size_t{1} << 15;
  constexpr size_t kBlock = 64;
  constexpr size_t kStep = 8 * kBlock;
  if (symbols.size() < kFew) return false;
  Histogram counts{};
  std::array<uint8_t, 64 * kBlock> sample;
  size_t size = 0;
  const auto count_sample = [&] {
    Histogram part;
    CountBytes(sample.data(), size, &part);
    for (size_t s = 0; s < counts.size(); ++s) counts[s] += part[s];
    size = 0;
  };
  for (size_t i = 0; i + kBlock <= symbols.size(); i += kStep) {
    std::copy_n(symbols.begin() + static_cast<ptrdiff_t>(i), kBlock,
                sample.begin() + static_cast<ptrdiff_t>(size));
    size += kBlock;
    if (size == sample.size()) count_sample();
  }
  count_sample();
  const auto sampled = std::accumulate(counts.begin(), counts.end(), 0.0);
  return EntropyBits(counts) > 8 * kWorthwhile * sampled;
}

// By so much smaller must be what takes longer to encode and, on some machines, to decode.
constexpr double kRunsWorthwhile = 0.998;

constexpr double kHuffmanHeader = 56;
constexpr double kRansHeader = 4 * kRansStates + 8;

size_t SymbolsUsed(const Histogram& counts) {
  return counts.size() - static_cast<size_t>(std::count(counts.begin(), counts.end(), 0u));
}

// Codes with rANS, if that takes fewer bytes than `limit`.
bool EncodeByRans(std::span<const uint8_t> symbols, const Histogram& counts, Effort effort,
                  double limit, std::vector<std::byte>* out) {
  RunClasses classes = ClassifyRuns(symbols, counts);
  const double runs = classes.bytes + kRansHeader;
  if (effort == Effort::kRans) {
    const Histogram frequencies = NormalizeFrequencies(counts);
    const double rans = RansBits(counts, frequencies) / 8 + kRansHeader +
                        1.5 * static_cast<double>(SymbolsUsed(counts));
    if (rans < limit && rans < kRunsWorthwhile * runs) {
      ByteWriter(out).Fixed(static_cast<uint8_t>(PlaneMode::kRans));
      EncodeRans(symbols, frequencies, out);
      return true;
    }
  }
  if (runs >= kRunsWorthwhile * limit) return false;
  ByteWriter(out).Fixed(static_cast<uint8_t>(PlaneMode::kRuns));
  EncodeRuns(symbols, std::move(classes), out);
  return true;
}

// Codes with the cheapest entropy code, if that takes fewer bytes than `limit`.
bool EncodeEntropy(std::span<const uint8_t> symbols, const Histogram& counts, Effort effort,
                   double limit, std::vector<std::byte>* out) {
  const double streams = static_cast<double>(StreamCount(symbols.size()));
  const double huffman_header = kHuffmanHeader + streams * 2.5;
  const double rans_header = kRansHeader + 1.5 * static_cast<double>(SymbolsUsed(counts));
  // No code gets below the entropy: making one for a few symbols would take longer than all else.
  const double entropy = EntropyBits(counts) / 8;
  const bool try_rans = effort != Effort::kHuffman && entropy + rans_header < limit;
  if (entropy + huffman_header >= limit && !try_rans) return false;
  const CodeLengths lengths = MakeCodeLengths(counts);
  const double huffman = static_cast<double>(CodedBits(counts, lengths)) / 8 + huffman_header;
  if (try_rans && EncodeByRans(symbols, counts, effort, std::min(limit, huffman), out)) return true;
  if (huffman >= limit) return false;
  EncodeHuffman(symbols, lengths, out);
  return true;
}

}  // namespace

void EncodePlane(std::span<const uint8_t> symbols, Effort effort, std::vector<std::byte>* out) {
  if (LooksRandom(symbols)) {
    EncodePacked(symbols, 8, out);
    return;
  }
  Histogram counts{};
  CountBytes(symbols.data(), symbols.size(), &counts);
  const PlaneCosts costs = CountCosts(counts, symbols.size());
  if (costs.common_count == symbols.size()) {
    ByteWriter writer(out);
    writer.Fixed(static_cast<uint8_t>(PlaneMode::kConstant));
    writer.Fixed(costs.common);
    return;
  }
  // Raw bits decode faster: a code must earn its keep.
  const double limit = std::min(costs.sparse, costs.packed * kWorthwhile);
  if (EncodeEntropy(symbols, counts, effort, limit, out)) return;
  if (costs.sparse < costs.packed) {
    EncodeSparse(symbols, costs.common, symbols.size() - costs.common_count, out);
  } else {
    EncodePacked(symbols, costs.width, out);
  }
}

}  // namespace qstore::codec
