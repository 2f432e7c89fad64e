// SPDX-License-Identifier: Apache-2.0
#include "codec/plane.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <string>

#include "base/disk_ids.h"
#include "base/status_macros.h"
#include "codec/bits.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/rans.h"

namespace qstore::codec {
namespace {

using base::ByteReader;
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

// Stream s codes the symbols [run * s, run * s + run) of every round of run * streams symbols.
size_t EncodeStream(std::span<const uint8_t> symbols, size_t stream, size_t streams,
                    const uint32_t* code_and_length, uint8_t* out) {
  BitWriter bits(out);
  const size_t round = kHuffmanRun * streams;
  size_t i = stream * kHuffmanRun;
  for (; i + kHuffmanRun <= symbols.size(); i += round) {
    uint64_t word = 0;
    unsigned used = 0;
    for (size_t j = 0; j < kHuffmanRun; ++j) {
      const uint32_t entry = code_and_length[symbols[i + j]];
      word |= uint64_t{entry >> 8} << used;
      used += entry & 0xff;
    }
    bits.Put(word, used);
  }
  for (; i < symbols.size(); ++i) {
    const uint32_t entry = code_and_length[symbols[i]];
    bits.Put(entry >> 8, entry & 0xff);
  }
  return bits.Finish();
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

void EncodeHuffman(std::span<const uint8_t> symbols, const CodeLengths& lengths,
                   std::vector<std::byte>* out) {
  const auto codes = MakeCodes(lengths);
  uint32_t code_and_length[256];
  for (unsigned s = 0; s < 256; ++s) code_and_length[s] = uint32_t{codes[s]} << 8 | lengths[s];
  const size_t streams = StreamCount(symbols.size());
  ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(PlaneMode::kHuffman));
  writer.Fixed(static_cast<uint8_t>(streams));
  WriteCodeLengths(lengths, &writer);
  // The streams are written behind the room their sizes may take, then moved up to them.
  constexpr size_t kMaxVarint = 10;
  const size_t begin = out->size();
  const size_t room = streams * kMaxVarint;
  out->resize(begin + room + symbols.size() * kMaxCodeLength / 8 + 2 * streams + BitWriter::kSlack);
  auto* coded = reinterpret_cast<uint8_t*>(out->data() + begin + room);
  size_t used = 0;
  std::vector<std::byte> sizes;
  ByteWriter size_writer(&sizes);
  for (size_t s = 0; s < streams; ++s) {
    const size_t size = EncodeStream(symbols, s, streams, code_and_length, coded + used);
    size_writer.Varint(size);
    used += size;
  }
  std::copy(sizes.begin(), sizes.end(), out->begin() + static_cast<ptrdiff_t>(begin));
  std::memmove(out->data() + begin + sizes.size(), coded, used);
  out->resize(begin + sizes.size() + used);
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

Result<const uint8_t*> DecodePacked(ByteReader* payload, size_t count, uint8_t* scratch) {
  const unsigned width = payload->Fixed<uint8_t>();
  if (width < 1 || width > 8) return Corrupt("plane: packed width not in 1..8");
  const auto bytes = payload->Bytes((uint64_t{count} * width + 7) / 8);
  if (!payload->ok() || payload->remaining() < kReadSlack)
    return Corrupt("plane: packed bits missing");
  const auto* in = reinterpret_cast<const uint8_t*>(bytes.data());
  if (width == 8) return in;
  ActiveKernels().unpack(in, width, count, scratch);
  return scratch;
}

Result<CodeLengths> ReadCodeLengths(ByteReader* payload) {
  CodeLengths lengths{};
  const unsigned first = payload->Fixed<uint8_t>();
  const unsigned last = payload->Fixed<uint8_t>();
  if (first >= last) return Corrupt("plane: symbol range of the code is empty");
  for (unsigned s = first; s <= last; s += 2) {
    const unsigned pair = payload->Fixed<uint8_t>();
    lengths[s] = pair & 15;
    if (s < last) {
      lengths[s + 1] = static_cast<uint8_t>(pair >> 4);
    } else if (pair >> 4 != 0) {
      return Corrupt("plane: unused code length is not zero");
    }
  }
  if (!payload->ok() || !IsCompleteCode(lengths))
    return Corrupt("plane: code lengths make no complete code");
  return lengths;
}

// One symbol at a time: single streams, and the last incomplete round of 32.
void DecodeRun(const DecodeTable& table, const uint8_t* data, size_t size, uint32_t* position,
               size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const size_t at = std::min<size_t>(*position >> 3, size - kReadSlack);
    const uint64_t window = base::LoadLe<uint64_t>(data + at) >> (*position & 7);
    const uint16_t entry = table[window & (kDecodeTableSize - 1)];
    out[i] = static_cast<uint8_t>(entry >> 8);
    *position += entry & 0xff;
  }
}

Result<const uint8_t*> DecodeHuffman(ByteReader* payload, size_t count, uint8_t* scratch) {
  const size_t streams = payload->Fixed<uint8_t>();
  if (streams != 1 && streams != kHuffmanStreams)
    return Corrupt("plane: stream count is not 1 or 32");
  QSTORE_ASSIGN(const CodeLengths lengths, ReadCodeLengths(payload));
  uint64_t sizes[kHuffmanStreams];
  uint64_t total = 0;
  for (size_t s = 0; s < streams; ++s) {
    sizes[s] = payload->Varint();
    // A stream cannot be longer than its symbols at the longest code: this also bounds positions.
    if (sizes[s] > uint64_t{count} * kMaxCodeLength / 8 + 1)
      return Corrupt("plane: stream too long");
    total += sizes[s];
  }
  const auto bytes = payload->Bytes(total);
  if (!payload->ok() || payload->remaining() < kReadSlack)
    return Corrupt("plane: stream bytes missing");

  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  const size_t size = bytes.size() + kReadSlack;
  uint32_t positions[kHuffmanStreams];
  uint32_t begin = 0;
  for (size_t s = 0; s < streams; ++s) {
    positions[s] = begin * 8;
    begin += static_cast<uint32_t>(sizes[s]);
  }
  DecodeTable table;
  MakeDecodeTable(lengths, &table);
  size_t done = 0;
  if (streams == 1) {
    DecodeRun(table, data, size, positions, count, scratch);
  } else {
    const size_t round = kHuffmanRun * kHuffmanStreams;
    const size_t rounds = count / round;
    ActiveKernels().huffman32(table.data(), data, size, positions, rounds, scratch);
    done = rounds * round;
    for (size_t s = 0; done < count; ++s) {
      const size_t run = std::min(kHuffmanRun, count - done);
      DecodeRun(table, data, size, &positions[s], run, scratch + done);
      done += run;
    }
  }
  uint64_t end = 0;
  for (size_t s = 0; s < streams; ++s) {
    end += sizes[s];
    if ((uint64_t{positions[s]} + 7) / 8 != end)
      return Corrupt("plane: stream does not end where its size says");
  }
  return scratch;
}

Result<const uint8_t*> DecodeSparse(ByteReader* payload, size_t count, uint8_t* scratch) {
  std::fill_n(scratch, count, payload->Fixed<uint8_t>());
  const uint64_t exceptions = payload->Varint();
  if (exceptions > count) return Corrupt("plane: more exceptions than symbols");
  uint64_t next = 0;
  for (uint64_t i = 0; i < exceptions; ++i) {
    const uint64_t skip = payload->Varint();
    const uint8_t value = payload->Fixed<uint8_t>();
    if (!payload->ok() || skip >= count - next)
      return Corrupt("plane: exception outside the plane");
    next += skip;
    scratch[next++] = value;
  }
  return scratch;
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

constexpr double kHuffmanHeader = 56;
constexpr double kRansHeader = 4 * kRansStates + 8;

size_t SymbolsUsed(const Histogram& counts) {
  return counts.size() - static_cast<size_t>(std::count(counts.begin(), counts.end(), 0u));
}

}  // namespace

void EncodePlane(std::span<const uint8_t> symbols, Effort effort, std::vector<std::byte>* out) {
  Histogram counts{};
  CountBytes(symbols.data(), symbols.size(), &counts);
  const PlaneCosts costs = CountCosts(counts, symbols.size());
  if (costs.common_count == symbols.size()) {
    ByteWriter writer(out);
    writer.Fixed(static_cast<uint8_t>(PlaneMode::kConstant));
    writer.Fixed(costs.common);
    return;
  }
  const double limit = std::min(costs.sparse, costs.packed * 0.995);
  const double streams = static_cast<double>(StreamCount(symbols.size()));
  const CodeLengths lengths = MakeCodeLengths(counts);
  const double huffman =
      static_cast<double>(CodedBits(counts, lengths)) / 8 + kHuffmanHeader + streams * 2.5;
  if (effort == Effort::kRans) {
    const Histogram frequencies = NormalizeFrequencies(counts);
    const double header = kRansHeader + 1.5 * static_cast<double>(SymbolsUsed(counts));
    const double rans = RansBits(counts, frequencies) / 8 + header;
    if (rans < limit && rans < huffman) {
      ByteWriter(out).Fixed(static_cast<uint8_t>(PlaneMode::kRans));
      EncodeRans(symbols, frequencies, out);
      return;
    }
  }
  // Raw bits decode faster: a code must earn its keep.
  if (huffman < limit) {
    EncodeHuffman(symbols, lengths, out);
    return;
  }
  if (costs.sparse < costs.packed) {
    EncodeSparse(symbols, costs.common, symbols.size() - costs.common_count, out);
  } else {
    EncodePacked(symbols, costs.width, out);
  }
}

Result<const uint8_t*> DecodePlane(ByteReader* payload, size_t count, uint8_t* scratch) {
  const unsigned mode = payload->Fixed<uint8_t>();
  if (!payload->ok()) return Corrupt("plane: mode missing");
  switch (static_cast<PlaneMode>(mode)) {
    case PlaneMode::kConstant: {
      const uint8_t symbol = payload->Fixed<uint8_t>();
      if (!payload->ok()) return Corrupt("plane: symbol missing");
      std::fill_n(scratch, count, symbol);
      return scratch;
    }
    case PlaneMode::kPacked:
      return DecodePacked(payload, count, scratch);
    case PlaneMode::kHuffman:
      return DecodeHuffman(payload, count, scratch);
    case PlaneMode::kSparse:
      return DecodeSparse(payload, count, scratch);
    case PlaneMode::kRans: {
      QSTORE_TRY(DecodeRans(payload, count, scratch));
      return scratch;
    }
  }
  return Corrupt("plane: unknown mode " + std::to_string(mode));
}

}  // namespace qstore::codec
