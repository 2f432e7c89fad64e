// SPDX-License-Identifier: Apache-2.0
#include "chain/bins_coder.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/status_macros.h"
#include "codec/bits.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"
#include "quant/bins.h"

namespace qstore::chain {
namespace {

using base::ByteReader;
using base::ByteWriter;
using codec::BinTable16;
using codec::BinTable8;
using codec::BitCursor;
using codec::BitWriter;

// Candidates a bin may have to be coded in lanes of 8 and 16 bits.
constexpr uint32_t kByteLimit = 255;
constexpr uint32_t kWordLimit = (1u << 14) - 1;

struct Header {
  unsigned shift = 0;     // candidates are the multiples of 2^shift in the bin
  unsigned low_bits = 0;  // low bits of the index that lie in a plane of their own
  bool via_fp16 = false;  // BinRule::via_fp16
};

// A BF16 bin has at most 203 candidates; an F16 bin eight times as many, unless their low bits are
// 0.
bool UsesByteLanes(DType dtype, unsigned shift) {
  return dtype == DType::kBF16 || (dtype == DType::kF16 && shift >= 3);
}

unsigned LowBits(DType dtype, unsigned shift) {
  return dtype == DType::kF32 && shift < 8 ? 8 - shift : 0;
}

unsigned MaxShift(DType dtype) {
  switch (dtype) {
    case DType::kBF16:
      return 7;
    case DType::kF16:
      return 10;
    default:
      return 23;
  }
}

// The bins of one row at a time, in the form the kernels want.
class RowBins {
 public:
  RowBins(DType dtype, const Header& header, std::span<const std::byte> scales)
      : rule_{dtype, header.via_fp16}, header_(header), scales_(scales) {
    bytes_ = UsesByteLanes(dtype, header.shift);
  }

  void Select(uint64_t row) {
    const auto absmax = std::bit_cast<float>(base::LoadLe<uint32_t>(scales_.data() + 4 * row));
    const auto pattern = std::bit_cast<uint32_t>(absmax);
    if (selected_ && pattern == pattern_) return;
    selected_ = true;
    pattern_ = pattern;
    uint32_t first[quant::kMaxMagnitude + 2];
    const bool found = quant::FindBins(rule_, absmax, first);
    uint32_t low = 0;
    for (unsigned k = 0; k < codec::kBinCount; ++k) {
      const uint32_t high = found ? CeilShift(first[k + 1]) : 0;
      count_[k] = k > 0 && high > low ? high - low : 0;
      if (bytes_) {
        Set(k, low, kByteLimit, codec::kWideBin, &table8_);
      } else {
        Set(k, low, kWordLimit, codec::kWideBin32, &table16_);
      }
      low = high;
    }
  }

  bool bytes() const { return bytes_; }
  const BinTable8& table8() const { return table8_; }
  const BinTable16& table16() const { return table16_; }

  // For the encoder: candidates of the bin; 0 when its members are coded apart.
  uint32_t count(unsigned k) const { return count_[k]; }
  uint32_t first(unsigned k) const { return bytes_ ? table8_.first[k] : table16_.first[k]; }
  uint32_t width(unsigned k) const { return bytes_ ? table8_.width[k] : table16_.width[k]; }
  uint32_t threshold(unsigned k) const {
    return bytes_ ? table8_.threshold[k] : table16_.threshold[k];
  }

 private:
  uint32_t CeilShift(uint32_t pattern) const {
    return (pattern + (1u << header_.shift) - 1) >> header_.shift;
  }

  template <class Table, class First>
  void Set(unsigned k, uint32_t low, uint32_t limit, First wide, Table* table) {
    uint32_t codes = count_[k] > 0 ? ((count_[k] - 1) >> header_.low_bits) + 1 : 0;
    table->first[k] = static_cast<First>(low);
    if (codes == 0 || codes > limit) {
      count_[k] = 0;
      codes = 1;
      table->first[k] = wide;
    }
    using Lane = std::remove_reference_t<decltype(table->width[0])>;
    const auto width = static_cast<unsigned>(std::bit_width(codes)) - 1;
    table->width[k] = static_cast<Lane>(width);
    table->threshold[k] = static_cast<Lane>((2u << width) - codes);
  }

  quant::BinRule rule_;
  Header header_;
  std::span<const std::byte> scales_;
  bool bytes_ = false;
  bool selected_ = false;
  uint32_t pattern_ = 0;
  uint32_t count_[codec::kBinCount] = {};
  BinTable8 table8_;
  BinTable16 table16_;
};

// Calls body(row, begin, count) for every run of elements of one row; begin counts from the chunk's
// first element.
template <class Body>
void ForEachRow(const RowRange& range, size_t count, Body body) {
  size_t done = 0;
  while (done < count) {
    const uint64_t elem = range.first_elem + done;
    const uint64_t row = elem / range.row_elems;
    const uint64_t left = (row + 1) * range.row_elems - elem;
    const size_t run = static_cast<size_t>(std::min<uint64_t>(left, count - done));
    body(row, done, run);
    done += run;
  }
}

template <class T>
T LoadElement(const std::byte* raw, size_t i) {
  T value;
  std::memcpy(&value, raw + i * sizeof(T), sizeof(T));
  return value;
}

template <class T>
constexpr T kMagnitudeMask = static_cast<T>(~T{0}) >> 1;

unsigned BinOf(std::byte q) {
  const auto value = static_cast<unsigned>(q);
  return (value & 0x80 ? 256 - value : value) & 0x7f;
}

// Values whose trailing zeros justify coding multiples only: chosen on a sample, since a wrong
// guess merely lists more values.
template <class T>
unsigned ChooseShift(DType dtype, std::span<const std::byte> raw, std::span<const std::byte> q) {
  const size_t count = raw.size() / sizeof(T);
  const size_t stride = count / 4096 + 1;
  uint32_t zeros[32] = {};
  uint32_t sampled = 0;
  for (size_t i = 0; i < count; i += stride) {
    const T magnitude = LoadElement<T>(raw.data(), i) & kMagnitudeMask<T>;
    if (BinOf(q[i]) == 0 || magnitude == 0) continue;
    ++zeros[std::min<unsigned>(static_cast<unsigned>(std::countr_zero(magnitude)),
                               MaxShift(dtype))];
    ++sampled;
  }
  unsigned best = 0;
  double best_gain = 0;
  double listed = 0;
  for (unsigned shift = 1; shift <= MaxShift(dtype); ++shift) {
    listed += zeros[shift - 1];
    const double gain = shift * (sampled - listed) - listed * (8.0 * sizeof(T) + 12);
    if (gain > best_gain) {
      best_gain = gain;
      best = shift;
    }
  }
  return best;
}

// One pass of an encoder over a chunk.
template <class T>
class Encoder {
 public:
  Encoder(DType dtype, const Header& header, const RowRange& range, std::span<const std::byte> raw,
          std::span<const std::byte> q, std::span<const std::byte> scales, BinsScratch* scratch)
      : header_(header),
        range_(range),
        raw_(raw),
        q_(q),
        bins_(dtype, header, scales),
        scratch_(scratch) {}

  void Run() {
    const size_t count = raw_.size() / sizeof(T);
    scratch_->floor_bits.resize(count * 14 / 8 + 64);
    scratch_->extra_bits.resize(count / 8 + 64);
    if (header_.low_bits > 0) scratch_->low.assign(count, 0);
    if constexpr (sizeof(T) == 2) {
      if (bins_.bytes()) return RunBytes(count);
    }
    scratch_->wide.clear();
    BitWriter floor_bits(scratch_->floor_bits.data());
    BitWriter extra_bits(scratch_->extra_bits.data());
    ForEachRow(range_, count, [&](uint64_t row, size_t begin, size_t run) {
      bins_.Select(row);
      for (size_t i = begin; i < begin + run; ++i) Put(i, &floor_bits, &extra_bits);
    });
    floor_bytes_ = floor_bits.Finish();
    extra_bytes_ = extra_bits.Finish();
  }

  // The same for byte lanes, by the kernel.
  void RunBytes(size_t count) {
    scratch_->wide.resize((count + 1) * sizeof(T));
    listed_.resize(count);
    codec::BinSinks sinks{{scratch_->floor_bits.data(), 0},
                          {scratch_->extra_bits.data(), 0},
                          reinterpret_cast<uint8_t*>(scratch_->wide.data()),
                          0,
                          listed_.data(),
                          0};
    scratch_->floor_bits[0] = scratch_->extra_bits[0] = 0;
    const codec::Kernels& kernels = codec::ActiveKernels();
    ForEachRow(range_, count, [&](uint64_t row, size_t begin, size_t run) {
      bins_.Select(row);
      kernels.put_bins8(reinterpret_cast<const uint8_t*>(&q_[begin]),
                        reinterpret_cast<const uint8_t*>(&raw_[begin * sizeof(T)]), run,
                        header_.shift, static_cast<uint32_t>(begin), &bins_.table8(), &sinks);
    });
    scratch_->wide.resize(sinks.wide_count * sizeof(T));
    listed_.resize(sinks.listed_count);
    floor_count_ = sinks.floor_bits.position;
    extra_count_ = sinks.extra_bits.position;
    floor_bytes_ = static_cast<size_t>((floor_count_ + 7) / 8);
    extra_bytes_ = static_cast<size_t>((extra_count_ + 7) / 8);
  }

  void Write(DType dtype, std::vector<std::byte>* out) {
    ByteWriter writer(out);
    writer.Fixed(static_cast<uint8_t>(header_.shift));
    writer.Fixed(static_cast<uint8_t>(header_.low_bits));
    writer.Fixed(static_cast<uint8_t>(header_.via_fp16));
    writer.Varint(floor_count_);
    writer.Varint(extra_count_);
    writer.Varint(scratch_->wide.size() / sizeof(T));
    writer.Bytes(std::as_bytes(std::span(scratch_->floor_bits.data(), floor_bytes_)));
    writer.Bytes(std::as_bytes(std::span(scratch_->extra_bits.data(), extra_bytes_)));
    if (header_.low_bits > 0) codec::EncodePlane(scratch_->low, true, out);
    codec::EncodeFloats(dtype, scratch_->wide, &scratch_->planes, out);
    writer.Varint(listed_.size());
    size_t next = 0;
    for (size_t i : listed_) {
      writer.Varint(i - next);
      writer.Fixed(LoadElement<T>(raw_.data(), i));
      next = i + 1;
    }
  }

  size_t listed() const { return listed_.size(); }

 private:
  void Put(size_t i, BitWriter* floor_bits, BitWriter* extra_bits) {
    const T value = LoadElement<T>(raw_.data(), i);
    const unsigned k = BinOf(q_[i]);
    if (bins_.count(k) == 0) {
      scratch_->wide.insert(scratch_->wide.end(), raw_.data() + i * sizeof(T),
                            raw_.data() + (i + 1) * sizeof(T));
      return;
    }
    const T magnitude = value & kMagnitudeMask<T>;
    const auto sign = static_cast<unsigned>(value >> (8 * sizeof(T) - 1));
    uint32_t index = (magnitude >> header_.shift) - bins_.first(k);
    const bool inside = index < bins_.count(k) && (magnitude & ((1u << header_.shift) - 1)) == 0 &&
                        sign == static_cast<unsigned>(q_[i]) >> 7;
    if (!inside) {
      listed_.push_back(static_cast<uint32_t>(i));
      index = 0;
    }
    if (header_.low_bits > 0) {
      scratch_->low[i] = static_cast<uint8_t>(index & ((1u << header_.low_bits) - 1));
      index >>= header_.low_bits;
    }
    const uint32_t threshold = bins_.threshold(k);
    const unsigned width = bins_.width(k);
    if (index < threshold) {
      floor_bits->Put(index, width);
    } else {
      floor_bits->Put((index + threshold) >> 1, width);
      extra_bits->Put((index + threshold) & 1, 1);
      ++extra_count_;
    }
    floor_count_ += width;
  }

  Header header_;
  RowRange range_;
  std::span<const std::byte> raw_;
  std::span<const std::byte> q_;
  RowBins bins_;
  BinsScratch* scratch_;
  std::vector<uint32_t> listed_;
  uint64_t floor_count_ = 0;
  uint64_t extra_count_ = 0;
  size_t floor_bytes_ = 0;
  size_t extra_bytes_ = 0;
};

template <class T>
size_t Encode(DType dtype, const RowRange& range, std::span<const std::byte> raw,
              std::span<const std::byte> q, std::span<const std::byte> scales, BinsScratch* scratch,
              std::vector<std::byte>* out) {
  Header header;
  header.shift = ChooseShift<T>(dtype, raw, q);
  header.low_bits = LowBits(dtype, header.shift);
  // bitsandbytes rounds F32 to F16 first; for 16-bit sources that changes nothing or next to
  // nothing.
  header.via_fp16 = dtype == DType::kF32;
  Encoder<T> encoder(dtype, header, range, raw, q, scales, scratch);
  encoder.Run();
  encoder.Write(dtype, out);
  return encoder.listed();
}

// Gives index arrays their patterns, for one row of 16-bit lanes.
template <class T>
void AssembleRow(const BinTable16& table, const Header& header, const uint8_t* q,
                 const uint16_t* index, const uint8_t* low, size_t count, std::byte* raw) {
  for (size_t i = 0; i < count; ++i) {
    const unsigned k = BinOf(static_cast<std::byte>(q[i]));
    T value = kMagnitudeMask<T>;
    if (table.first[k] != codec::kWideBin32) {
      uint32_t whole = index[i];
      if (low != nullptr) whole = whole << header.low_bits | low[i];
      value = static_cast<T>((table.first[k] + whole) << header.shift) & kMagnitudeMask<T>;
    }
    value = static_cast<T>(value | static_cast<T>(q[i] >> 7) << (8 * sizeof(T) - 1));
    std::memcpy(raw + i * sizeof(T), &value, sizeof(T));
  }
}

// Puts the values coded apart in the places that are marked; shifts the magnitudes of the others.
template <class T>
Status PlaceWide(std::span<const std::byte> wide, unsigned shift, std::span<std::byte> raw) {
  const size_t count = raw.size() / sizeof(T);
  const size_t wide_count = wide.size() / sizeof(T);
  size_t used = 0;
  if constexpr (sizeof(T) == 2) {
    used = codec::ActiveKernels().place_wide16(reinterpret_cast<uint8_t*>(raw.data()), count,
                                               reinterpret_cast<const uint8_t*>(wide.data()),
                                               wide_count, shift);
  } else {
    for (size_t i = 0; i < count && used <= wide_count; ++i) {
      if ((LoadElement<T>(raw.data(), i) & kMagnitudeMask<T>) != kMagnitudeMask<T>) continue;
      if (used < wide_count) std::memcpy(&raw[i * sizeof(T)], &wide[used * sizeof(T)], sizeof(T));
      ++used;
    }
  }
  return used == wide_count ? Status() : Corrupt("bins: count of values outside bins is wrong");
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

template <class T>
Status Decode(DType dtype, const RowRange& range, ByteReader* payload, std::span<const std::byte> q,
              std::span<const std::byte> scales, BinsScratch* scratch, std::span<std::byte> raw) {
  const size_t count = raw.size() / sizeof(T);
  Header header;
  header.shift = payload->Fixed<uint8_t>();
  header.low_bits = payload->Fixed<uint8_t>();
  const unsigned via_fp16 = payload->Fixed<uint8_t>();
  header.via_fp16 = via_fp16 == 1;
  const uint64_t floor_count = payload->Varint();
  const uint64_t extra_count = payload->Varint();
  const uint64_t wide_count = payload->Varint();
  if (!payload->ok() || header.shift > MaxShift(dtype) || via_fp16 > 1 ||
      header.low_bits != LowBits(dtype, header.shift) || wide_count > count) {
    return Corrupt("bins: header out of range");
  }
  QSTORE_ASSIGN(BitCursor floor_bits, ReadBitStream(payload, floor_count));
  QSTORE_ASSIGN(BitCursor extra_bits, ReadBitStream(payload, extra_count));
  const uint8_t* low = nullptr;
  if (header.low_bits > 0) {
    scratch->low.resize(count + codec::kPlaneSlack);
    QSTORE_ASSIGN(low, codec::DecodePlane(payload, count, scratch->low.data()));
  }
  scratch->wide.resize(static_cast<size_t>(wide_count) * sizeof(T));
  QSTORE_TRY(codec::DecodeFloats(dtype, payload, &scratch->planes, scratch->wide));

  RowBins bins(dtype, header, scales);
  scratch->index.resize(bins.bytes() ? 0 : count);
  const auto* twin = reinterpret_cast<const uint8_t*>(q.data());
  const codec::Kernels& kernels = codec::ActiveKernels();
  ForEachRow(range, count, [&](uint64_t row, size_t begin, size_t run) {
    bins.Select(row);
    auto* out = raw.data() + begin * sizeof(T);
    if (bins.bytes()) {
      kernels.bins8(twin + begin, run, &bins.table8(), &floor_bits, &extra_bits,
                    reinterpret_cast<uint8_t*>(out));
      return;
    }
    uint16_t* index = scratch->index.data() + begin;
    kernels.bins16(twin + begin, run, &bins.table16(), &floor_bits, &extra_bits,
                   reinterpret_cast<uint8_t*>(index));
    AssembleRow<T>(bins.table16(), header, twin + begin, index,
                   low != nullptr ? low + begin : nullptr, run, out);
  });
  if (floor_bits.position != floor_count || extra_bits.position != extra_count) {
    return Corrupt("bins: bit streams do not end where their counts say");
  }
  const unsigned pending_shift = bins.bytes() ? header.shift : 0;
  QSTORE_TRY(PlaceWide<T>(scratch->wide, pending_shift, raw));
  return ReadListed<T>(payload, raw);
}

}  // namespace

size_t EncodeBins(DType dtype, const RowRange& range, std::span<const std::byte> raw,
                  std::span<const std::byte> q, std::span<const std::byte> scales,
                  BinsScratch* scratch, std::vector<std::byte>* out) {
  return dtype == DType::kF32 ? Encode<uint32_t>(dtype, range, raw, q, scales, scratch, out)
                              : Encode<uint16_t>(dtype, range, raw, q, scales, scratch, out);
}

Status DecodeBins(DType dtype, const RowRange& range, ByteReader* payload,
                  std::span<const std::byte> q, std::span<const std::byte> scales,
                  BinsScratch* scratch, std::span<std::byte> raw) {
  return dtype == DType::kF32 ? Decode<uint32_t>(dtype, range, payload, q, scales, scratch, raw)
                              : Decode<uint16_t>(dtype, range, payload, q, scales, scratch, raw);
}

}  // namespace qstore::chain
