// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "codec/kernels/internal.h"
#include "codec/kernels/portable_loops.h"

// The definition of the bin kernels. Loops take eight elements at a time, whose bits one word
// holds, and do without branches that data decide.

namespace qstore::codec {
namespace {

constexpr size_t kBlock = 8;
constexpr unsigned kMostFloorBits8 = 7 * kBlock;

void Store16(uint8_t* at, uint32_t value) {
  const auto half = static_cast<uint16_t>(value);
  std::memcpy(at, &half, sizeof(half));
}

unsigned BinOf(uint8_t q) { return (q & 0x80 ? 256u - q : q) & 0x7f; }

uint64_t Window(const BitCursor& cursor) {
  return LoadWord(cursor.bytes + (cursor.position >> 3)) >> (cursor.position & 7);
}

uint64_t ReadBits(BitCursor* cursor, unsigned count) {
  uint64_t value = 0;
  if (cursor->position + count <= cursor->limit) {
    value = Window(*cursor);
    value &= (uint64_t{1} << count) - 1;
  }
  cursor->position += count;
  return value;
}

void PutBits(BitSink* sink, uint64_t value, unsigned count) {
  uint8_t* at = sink->bytes + (sink->position >> 3);
  const unsigned used = sink->position & 7;
  const uint64_t word = (*at & ((1u << used) - 1)) | value << used;
  std::memcpy(at, &word, sizeof(word));
  sink->position += count;
}

// The index that a truncated binary code of floor bits, and perhaps an extra bit, stands for.
uint32_t ReadIndex(unsigned width, uint32_t threshold, BitCursor* floor_bits,
                   BitCursor* extra_bits) {
  const auto index = static_cast<uint32_t>(ReadBits(floor_bits, width));
  if (index < threshold) return index;
  return 2 * index + static_cast<uint32_t>(ReadBits(extra_bits, 1)) - threshold;
}

uint16_t TakeWide(WideCursor* wide) {
  uint16_t value = 0;
  if (wide->used < wide->count) std::memcpy(&value, wide->values + 2 * wide->used, sizeof(value));
  ++wide->used;
  return value;
}

uint32_t Pattern(uint32_t first, uint32_t index, unsigned shift, uint32_t sign, WideCursor* wide) {
  if (first == kWideBin) return TakeWide(wide);
  return ((first + index) << shift & 0x7fff) | sign << 15;
}

// For a byte q, all that coding takes in one word: width in byte 0, threshold in byte 1, pattern of
// the first candidate with the sign of q in bytes 2 and 3, highest index in byte 6; a wide bin has
// the top bit set.
struct PackedTable {
  static constexpr uint64_t kWide = uint64_t{1} << 63;

  explicit PackedTable(const BinTable8& table) {
    for (unsigned q = 0; q < 256; ++q) {
      const unsigned k = BinOf(static_cast<uint8_t>(q));
      const uint32_t last = (2u << table.width[k]) - table.threshold[k] - 1;
      const uint64_t first = table.first[k] | (q & 0x80) << 8;
      const uint64_t entry =
          table.width[k] | uint64_t{table.threshold[k]} << 8 | first << 16 | uint64_t{last} << 48;
      by_q[q] = table.first[k] == kWideBin ? kWide : entry;
    }
  }
  static unsigned Width(uint64_t entry) { return static_cast<uint8_t>(entry); }
  static uint32_t Threshold(uint64_t entry) { return static_cast<uint8_t>(entry >> 8); }
  static uint32_t First(uint64_t entry) { return static_cast<uint32_t>(entry) >> 16; }
  static uint32_t Last(uint64_t entry) { return static_cast<uint8_t>(entry >> 48); }

  uint64_t by_q[256];
};

// Rows from which on the table is worth making.
constexpr size_t kLongRow = 1024;

// Bins8 for a long row and shift 0, as far as the streams surely go. Returns how many it did.
size_t LongBins8(const uint8_t* q, size_t count, const PackedTable& table, BitCursor* floor_bits,
                 BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  // Cursors of its own: what is stored through `out` might else have changed the caller's.
  BitCursor floor_at = *floor_bits;
  BitCursor extra_at = *extra_bits;
  size_t i = 0;
  for (; i + kBlock <= count; i += kBlock) {
    if (floor_at.position + kMostFloorBits8 > floor_at.limit ||
        extra_at.position + kBlock > extra_at.limit) {
      break;
    }
    uint64_t floor = Window(floor_at);
    uint64_t extra = Window(extra_at);
    for (size_t j = i; j < i + kBlock; ++j) {
      const uint64_t entry = table.by_q[q[j]];
      const unsigned width = PackedTable::Width(entry);
      const uint32_t low = static_cast<uint32_t>(floor & ~(~uint64_t{0} << width));
      floor >>= width;
      floor_at.position += width;
      const uint32_t threshold = PackedTable::Threshold(entry);
      const uint32_t has_extra = low >= threshold ? 1 : 0;
      const uint32_t more = low - threshold + (static_cast<uint32_t>(extra) & 1);
      const uint32_t pattern = PackedTable::First(entry) + low + (more & (0 - has_extra));
      if ((entry & PackedTable::kWide) != 0) {
        Store16(out + 2 * j, TakeWide(wide));
        continue;
      }
      extra >>= has_extra;
      extra_at.position += has_extra;
      Store16(out + 2 * j, pattern);
    }
  }
  *floor_bits = floor_at;
  *extra_bits = extra_at;
  return i;
}

// Bits gathered in a word.
struct Gatherer {
  uint64_t word = 0;
  unsigned used = 0;
  void Add(uint64_t bits, unsigned count) {
    word |= bits << used;
    used += count;
  }
};

}  // namespace

namespace scalar {

void Bins8(const uint8_t* q, size_t count, const BinTable8* table, unsigned shift,
           BitCursor* floor_bits, BitCursor* extra_bits, WideCursor* wide, uint8_t* out) {
  size_t i = 0;
  if (count >= kLongRow && shift == 0) {
    i = LongBins8(q, count, PackedTable(*table), floor_bits, extra_bits, wide, out);
  }
  for (; i < count; ++i) {
    const unsigned bin = BinOf(q[i]);
    const uint32_t index =
        ReadIndex(table->width[bin], table->threshold[bin], floor_bits, extra_bits);
    Store16(out + 2 * i, Pattern(table->first[bin], index, shift, q[i] >> 7, wide));
  }
}

void Finish16(const uint8_t* q, const uint8_t* index, size_t count, const uint16_t first[kBinCount],
              unsigned shift, WideCursor* wide, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t place;
    std::memcpy(&place, index + 2 * i, sizeof(place));
    Store16(out + 2 * i, Pattern(first[BinOf(q[i])], place, shift, q[i] >> 7, wide));
  }
}

namespace {

// One element with its bin: width and threshold of the code, first candidate.
void PutElement(uint8_t q, const uint8_t* value_at, unsigned width, uint32_t threshold,
                uint32_t first, unsigned shift, uint32_t place, BinSinks* sinks, Gatherer* floor,
                Gatherer* extra) {
  uint16_t value;
  std::memcpy(&value, value_at, sizeof(value));
  if (first == kWideBin) {
    std::memcpy(sinks->wide + 2 * sinks->wide_count++, &value, sizeof(value));
    return;
  }
  const uint32_t magnitude = value & 0x7fffu;
  uint32_t index = (magnitude >> shift) - first;
  const bool inside = index < (2u << width) - threshold && value >> 15 == q >> 7 &&
                      (magnitude & ((1u << shift) - 1)) == 0;
  if (!inside) {
    sinks->listed[sinks->listed_count++] = place;
    index = 0;
  }
  const uint32_t has_extra = index >= threshold ? 1 : 0;
  const uint32_t sum = index + (threshold & (0 - has_extra));
  floor->Add(sum >> has_extra, width);
  extra->Add(sum & has_extra, has_extra);
}

// put(i, floor, extra) gathers the bits of element i; so many elements' bits fit a word.
template <size_t kElements, class Put>
void PutBlocks(size_t count, BinSinks* sinks, Put put) {
  for (size_t i = 0; i < count;) {
    Gatherer floor;
    Gatherer extra;
    const size_t end = count - i < kElements ? count : i + kElements;
    for (; i < end; ++i) put(i, &floor, &extra);
    PutBits(&sinks->floor_bits, floor.word, floor.used);
    PutBits(&sinks->extra_bits, extra.word, extra.used);
  }
}

// PutBins8 for a long row and shift 0.
void PutLongBins8(const uint8_t* q, const uint8_t* values, size_t count, uint32_t place,
                  const PackedTable& table, BinSinks* sinks) {
  PutBlocks<kBlock>(count, sinks, [&](size_t i, Gatherer* floor, Gatherer* extra) {
    const uint64_t entry = table.by_q[q[i]];
    uint16_t value;
    std::memcpy(&value, values + 2 * i, sizeof(value));
    // Another sign than that of q makes a difference beyond every bin.
    uint32_t index = static_cast<uint16_t>(value - PackedTable::First(entry));
    if (index > PackedTable::Last(entry) || (entry & PackedTable::kWide) != 0) {
      if ((entry & PackedTable::kWide) != 0) {
        std::memcpy(sinks->wide + 2 * sinks->wide_count++, &value, sizeof(value));
        return;
      }
      sinks->listed[sinks->listed_count++] = place + static_cast<uint32_t>(i);
      index = 0;
    }
    const uint32_t threshold = PackedTable::Threshold(entry);
    const uint32_t has_extra = index >= threshold ? 1 : 0;
    const uint32_t sum = index + (threshold & (0 - has_extra));
    floor->Add(sum >> has_extra, PackedTable::Width(entry));
    extra->Add(sum & has_extra, has_extra);
  });
}

}  // namespace

void PutBins8(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift, uint32_t place,
              const BinTable8* table, BinSinks* sinks) {
  if (count >= kLongRow && shift == 0) {
    return PutLongBins8(q, values, count, place, PackedTable(*table), sinks);
  }
  PutBlocks<kBlock>(count, sinks, [&](size_t i, Gatherer* floor, Gatherer* extra) {
    const unsigned bin = BinOf(q[i]);
    PutElement(q[i], values + 2 * i, table->width[bin], table->threshold[bin], table->first[bin],
               shift, place + static_cast<uint32_t>(i), sinks, floor, extra);
  });
}

void PutBins16(const uint8_t* q, const uint8_t* values, size_t count, unsigned shift,
               uint32_t place, const BinTable16* table, const uint16_t first[kBinCount],
               BinSinks* sinks) {
  PutBlocks<4>(count, sinks, [&](size_t i, Gatherer* floor, Gatherer* extra) {
    const unsigned bin = BinOf(q[i]);
    PutElement(q[i], values + 2 * i, table->width[bin], table->threshold[bin], first[bin], shift,
               place + static_cast<uint32_t>(i), sinks, floor, extra);
  });
}

void Bins16(const uint8_t* q, size_t count, const BinTable16* table, BitCursor* floor_bits,
            BitCursor* extra_bits, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const unsigned bin = BinOf(q[i]);
    Store16(out + 2 * i,
            ReadIndex(table->width[bin], table->threshold[bin], floor_bits, extra_bits));
  }
}

}  // namespace scalar
}  // namespace qstore::codec
