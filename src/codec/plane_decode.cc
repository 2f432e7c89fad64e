// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>

#include "base/disk_ids.h"
#include "base/status_macros.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"
#include "codec/rans.h"
#include "codec/runs.h"

namespace qstore::codec {
namespace {

using base::ByteReader;

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

Result<const uint8_t*> DecodeMode(PlaneMode mode, ByteReader* payload, size_t count,
                                  uint8_t* scratch) {
  switch (mode) {
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
    case PlaneMode::kRuns: {
      QSTORE_TRY(DecodeRuns(payload, count, scratch));
      return scratch;
    }
  }
  return Corrupt("plane: unknown mode " + std::to_string(static_cast<unsigned>(mode)));
}

}  // namespace

Result<const uint8_t*> DecodePlane(ByteReader* payload, size_t count, uint8_t* scratch) {
  const auto mode = static_cast<PlaneMode>(payload->Fixed<uint8_t>());
  if (!payload->ok()) return Corrupt("plane: mode missing");
  return DecodeMode(mode, payload, count, scratch);
}

Result<const uint8_t*> DecodeClassPlane(ByteReader* payload, size_t count, uint8_t* scratch) {
  const auto mode = static_cast<PlaneMode>(payload->Fixed<uint8_t>());
  if (!payload->ok() || mode == PlaneMode::kRuns)
    return Corrupt("runs: classes are in runs themselves");
  return DecodeMode(mode, payload, count, scratch);
}

}  // namespace qstore::codec
