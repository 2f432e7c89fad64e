// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>

#include "base/status_macros.h"
#include "codec/plane.h"
#include "scheme/grid/bins_coder.h"
#include "scheme/grid/row_bins.h"

namespace qstore::scheme {
namespace {

using namespace bins;
using base::ByteReader;
using codec::BitCursor;

// Gives the elements of one row of an F32 tensor their patterns by the indices in their bins.
void AssembleRow32(const RowBins& bins, const Header& header, std::span<const std::byte> q,
                   const uint16_t* index, const uint8_t* low, codec::WideCursor* wide,
                   std::byte* raw) {
  for (size_t i = 0; i < q.size(); ++i) {
    const unsigned k = BinOf(q[i]);
    uint32_t value = 0;
    if (!bins.is_wide(k)) {
      uint32_t whole = index[i];
      if (low != nullptr) whole = whole << header.low_bits | low[i];
      value = ((bins.first(k) + whole) << header.shift) & kMagnitudeMask<uint32_t>;
      value |= static_cast<uint32_t>(q[i] >> 7) << 31;
    } else {
      if (wide->used < wide->count) std::memcpy(&value, wide->values + 4 * wide->used, 4);
      ++wide->used;
    }
    std::memcpy(raw + 4 * i, &value, 4);
  }
}

template <class T>
Status ReadListed(ByteReader* payload, std::span<std::byte> raw) {
  const uint64_t count = raw.size() / sizeof(T);
  const uint64_t listed = payload->Varint();
  uint64_t next = 0;
  for (uint64_t i = 0; i < listed; ++i) {
    const uint64_t skip = payload->Varint();
    const T value = payload->Fixed<T>();
    if (!payload->ok() || next >= count || skip >= count - next) {
      return Corrupt("bins: listed value out of range");
    }
    next += skip;
    std::memcpy(raw.data() + next * sizeof(T), &value, sizeof(T));
    ++next;
  }
  return payload->ok() ? Status() : Corrupt("bins: list of values missing");
}

Result<BitCursor> ReadBitStream(ByteReader* payload, uint64_t bits) {
  const auto bytes = payload->Bytes(bits / 8 + (bits % 8 != 0));
  if (!payload->ok() || payload->remaining() < codec::kReadSlack) {
    return Corrupt("bins: bit stream missing");
  }
  return BitCursor{reinterpret_cast<const uint8_t*>(bytes.data()), 0, bits};
}

uint64_t ReadBits(BitCursor* cursor, unsigned count) {
  uint64_t value = 0;
  if (cursor->position + count <= cursor->limit) {
    value = base::LoadLe<uint64_t>(cursor->bytes + (cursor->position >> 3));
    value = (value >> (cursor->position & 7)) & ((uint64_t{1} << count) - 1);
  }
  cursor->position += count;
  return value;
}

// Reads the numbers of all groups into indices; the inverse of the encoder's PutGroups.
void ReadGroups(std::span<const uint16_t> codes, unsigned group, BitCursor* floor_bits,
                BitCursor* extra_bits, uint16_t* index) {
  for (size_t i = 0; i < codes.size(); i += group) {
    const size_t end = std::min(codes.size(), i + group);
    uint64_t product = 1;
    for (size_t j = i; j < end; ++j) product *= codes[j];
    const auto width = static_cast<unsigned>(std::bit_width(product | 1)) - 1;
    const uint64_t threshold = (uint64_t{2} << width) - product;
    uint64_t number = ReadBits(floor_bits, width);
    if (number >= threshold) number = 2 * number + ReadBits(extra_bits, 1) - threshold;
    for (size_t j = end; j-- > i;) {
      // Most groups fit 32 bits, where division is several times as fast.
      if (number >> 32 == 0) {
        const auto small = static_cast<uint32_t>(number);
        index[j] = static_cast<uint16_t>(small % codes[j]);
        number = small / codes[j];
      } else {
        index[j] = static_cast<uint16_t>(number % codes[j]);
        number /= codes[j];
      }
    }
  }
}

struct Streams {
  Header header;
  uint64_t wide_count = 0;
  BitCursor floor_bits;
  BitCursor extra_bits;
};

Result<Streams> ReadStreams(DType dtype, ByteReader* payload, size_t count) {
  Streams s;
  s.header.shift = payload->Fixed<uint8_t>();
  s.header.low_bits = payload->Fixed<uint8_t>();
  const unsigned via_fp16 = payload->Fixed<uint8_t>();
  s.header.via_fp16 = via_fp16 == 1;
  s.header.group = payload->Fixed<uint8_t>();
  const uint64_t floor_count = payload->Varint();
  const uint64_t extra_count = payload->Varint();
  s.wide_count = payload->Varint();
  const unsigned group = GroupSize(UsesByteLanes(dtype, s.header.shift));
  if (!payload->ok() || s.header.shift > MaxShift(dtype) || via_fp16 > 1 ||
      s.header.low_bits != LowBits(dtype, s.header.shift) || s.wide_count > count ||
      (s.header.group != 1 && s.header.group != group)) {
    return Corrupt("bins: header out of range");
  }
  QSTORE_ASSIGN(s.floor_bits, ReadBitStream(payload, floor_count));
  QSTORE_ASSIGN(s.extra_bits, ReadBitStream(payload, extra_count));
  return s;
}

// Fills `raw` but for listed values.
template <class T>
void DecodeRows(DType dtype, const Codes& given, Streams* s, const uint8_t* low,
                codec::WideCursor* wide, BinsScratch* scratch, std::span<std::byte> raw) {
  const size_t count = raw.size() / sizeof(T);
  const RowRange& range = given.range;
  const std::span<const std::byte> q = given.q;
  RowBins bins(given.grid, dtype, s->header, given.scales, scratch);
  const codec::Kernels& kernels = codec::ActiveKernels();
  const auto* twin = reinterpret_cast<const uint8_t*>(q.data());
  auto* out = reinterpret_cast<uint8_t*>(raw.data());
  if (s->header.group == 1 && bins.bytes()) {
    ForEachRow(range, count, [&](uint64_t row, size_t begin, size_t run) {
      bins.Select(row);
      kernels.bins8(twin + begin, run, &bins.table8(), s->header.shift, &s->floor_bits,
                    &s->extra_bits, wide, out + begin * sizeof(T));
    });
    return;
  }
  scratch->index.resize(count);
  uint16_t* index = scratch->index.data();
  if (s->header.group > 1) {
    scratch->codes.resize(count);
    ForEachRow(range, count, [&](uint64_t row, size_t begin, size_t run) {
      bins.Select(row);
      uint16_t by_bin[codec::kBinCount];
      for (unsigned k = 0; k < codec::kBinCount; ++k)
        by_bin[k] = static_cast<uint16_t>(bins.codes(k));
      for (size_t i = begin; i < begin + run; ++i) scratch->codes[i] = by_bin[BinOf(q[i])];
    });
    ReadGroups(scratch->codes, s->header.group, &s->floor_bits, &s->extra_bits, index);
  }
  ForEachRow(range, count, [&](uint64_t row, size_t begin, size_t run) {
    bins.Select(row);
    auto* places = reinterpret_cast<uint8_t*>(index + begin);
    if (s->header.group == 1) {
      kernels.bins16(twin + begin, run, &bins.table16(), &s->floor_bits, &s->extra_bits, places);
    }
    if constexpr (sizeof(T) == 2) {
      kernels.finish16(twin + begin, places, run, bins.first16(), s->header.shift, wide,
                       out + begin * sizeof(T));
    } else {
      AssembleRow32(bins, s->header, q.subspan(begin, run), index + begin,
                    low != nullptr ? low + begin : nullptr, wide, &raw[begin * sizeof(T)]);
    }
  });
}

template <class T>
Status Decode(DType dtype, const Codes& codes, ByteReader* payload, BinsScratch* scratch,
              std::span<std::byte> raw) {
  const size_t count = raw.size() / sizeof(T);
  QSTORE_ASSIGN(Streams streams, ReadStreams(dtype, payload, count));
  const uint8_t* low = nullptr;
  if (streams.header.low_bits > 0) {
    scratch->low.resize(count + codec::kPlaneSlack);
    QSTORE_ASSIGN(low, codec::DecodePlane(payload, count, scratch->low.data()));
  }
  const auto wide_count = static_cast<size_t>(streams.wide_count);
  scratch->wide.assign(wide_count * sizeof(T) + codec::kWideSlack, std::byte{0});
  QSTORE_TRY(codec::DecodeFloats(dtype, payload, &scratch->planes,
                                 std::span(scratch->wide).first(wide_count * sizeof(T))));
  codec::WideCursor wide{reinterpret_cast<const uint8_t*>(scratch->wide.data()), 0, wide_count};
  DecodeRows<T>(dtype, codes, &streams, low, &wide, scratch, raw);
  if (streams.floor_bits.position != streams.floor_bits.limit ||
      streams.extra_bits.position != streams.extra_bits.limit) {
    return Corrupt("bins: bit streams do not end where their counts say");
  }
  if (wide.used != wide.count) return Corrupt("bins: count of values outside bins is wrong");
  return ReadListed<T>(payload, raw);
}

}  // namespace

Status DecodeBins(DType dtype, const Codes& codes, ByteReader* payload, BinsScratch* scratch,
                  std::span<std::byte> raw) {
  return dtype == DType::kF32 ? Decode<uint32_t>(dtype, codes, payload, scratch, raw)
                              : Decode<uint16_t>(dtype, codes, payload, scratch, raw);
}

}  // namespace qstore::scheme
