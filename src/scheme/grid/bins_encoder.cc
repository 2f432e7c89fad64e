// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cstring>

#include "codec/bits.h"
#include "codec/plane.h"
#include "scheme/grid/bins_coder.h"
#include "scheme/grid/row_bins.h"

namespace qstore::scheme {
namespace {

using namespace bins;
using base::ByteWriter;
using codec::BitWriter;

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
  Encoder(DType dtype, const Header& header, const Codes& codes, std::span<const std::byte> raw,
          BinsScratch* scratch)
      : header_(header),
        range_(codes.range),
        raw_(raw),
        q_(codes.q),
        bins_(codes.grid, dtype, header, codes.scales, scratch),
        scratch_(scratch) {}

  void Run() {
    const size_t count = raw_.size() / sizeof(T);
    // Never made smaller, which would fill them with zeros for every chunk.
    Room(count * 14 / 8 + 64, &scratch_->floor_bits);
    Room(count / 8 + 64, &scratch_->extra_bits);
    Room(count * sizeof(T) + codec::kWideSlack, &scratch_->wide);
    Room(count, &scratch_->listed);
    if constexpr (sizeof(T) == 2) {
      if (header_.group == 1) return RunKernel(count);
    }
    RunGroups(count);
  }

  void Write(DType dtype, codec::Effort effort, std::vector<std::byte>* out) {
    ByteWriter writer(out);
    writer.Fixed(static_cast<uint8_t>(header_.shift));
    writer.Fixed(static_cast<uint8_t>(header_.low_bits));
    writer.Fixed(static_cast<uint8_t>(header_.via_fp16));
    writer.Fixed(static_cast<uint8_t>(header_.group));
    writer.Varint(floor_count_);
    writer.Varint(extra_count_);
    writer.Varint(wide_count_);
    const auto bit_bytes = [](const std::vector<uint8_t>& bits, uint64_t count) {
      return std::as_bytes(std::span(bits.data(), static_cast<size_t>((count + 7) / 8)));
    };
    writer.Bytes(bit_bytes(scratch_->floor_bits, floor_count_));
    writer.Bytes(bit_bytes(scratch_->extra_bits, extra_count_));
    if (header_.low_bits > 0) codec::EncodePlane(scratch_->low, effort, out);
    const auto wide = std::span(scratch_->wide).first(wide_count_ * sizeof(T));
    codec::EncodeFloats(dtype, effort, wide, &scratch_->planes, out);
    writer.Varint(listed_count_);
    size_t next = 0;
    for (const size_t i : std::span(scratch_->listed).first(listed_count_)) {
      writer.Varint(i - next);
      writer.Fixed(LoadElement<T>(raw_.data(), i));
      next = i + 1;
    }
  }

  size_t listed() const { return listed_count_; }

 private:
  template <class Element>
  static void Room(size_t size, std::vector<Element>* buffer) {
    if (buffer->size() < size) buffer->resize(size);
  }

  void RunKernel(size_t count) {
    codec::BinSinks sinks{{scratch_->floor_bits.data(), 0},
                          {scratch_->extra_bits.data(), 0},
                          reinterpret_cast<uint8_t*>(scratch_->wide.data()),
                          0,
                          scratch_->listed.data(),
                          0};
    scratch_->floor_bits[0] = scratch_->extra_bits[0] = 0;
    const codec::Kernels& kernels = codec::ActiveKernels();
    ForEachRow(range_, count, [&](uint64_t row, size_t begin, size_t run) {
      bins_.Select(row);
      const auto* q = reinterpret_cast<const uint8_t*>(&q_[begin]);
      const auto* values = reinterpret_cast<const uint8_t*>(&raw_[begin * sizeof(T)]);
      const auto place = static_cast<uint32_t>(begin);
      if (bins_.bytes()) {
        kernels.put_bins8(q, values, run, header_.shift, place, &bins_.table8(), &sinks);
      } else {
        kernels.put_bins16(q, values, run, header_.shift, place, &bins_.table16(), bins_.first16(),
                           &sinks);
      }
    });
    wide_count_ = sinks.wide_count;
    listed_count_ = sinks.listed_count;
    floor_count_ = sinks.floor_bits.position;
    extra_count_ = sinks.extra_bits.position;
  }

  void RunGroups(size_t count) {
    scratch_->index.resize(count);
    scratch_->codes.resize(count);
    if (header_.low_bits > 0) scratch_->low.assign(count, 0);
    ForEachRow(range_, count, [&](uint64_t row, size_t begin, size_t run) {
      bins_.Select(row);
      for (size_t i = begin; i < begin + run; ++i) {
        const unsigned k = BinOf(q_[i]);
        scratch_->codes[i] = static_cast<uint16_t>(bins_.codes(k));
        scratch_->index[i] = 0;
        if (bins_.is_wide(k)) {
          std::memcpy(&scratch_->wide[wide_count_++ * sizeof(T)], &raw_[i * sizeof(T)], sizeof(T));
        } else if (!PutIndex(i, k)) {
          scratch_->listed[listed_count_++] = static_cast<uint32_t>(i);
        }
      }
    });
    PutGroups(count);
  }

  // Splits the index in its bin into scratch arrays; false when the value is not in the bin.
  bool PutIndex(size_t i, unsigned k) {
    const T value = LoadElement<T>(raw_.data(), i);
    const T magnitude = value & kMagnitudeMask<T>;
    const auto sign = static_cast<unsigned>(value >> (8 * sizeof(T) - 1));
    const uint32_t index = (magnitude >> header_.shift) - bins_.first(k);
    if (index >= bins_.count(k) || (magnitude & ((1u << header_.shift) - 1)) != 0 ||
        sign != static_cast<unsigned>(q_[i]) >> 7) {
      return false;
    }
    if (header_.low_bits > 0) {
      scratch_->low[i] = static_cast<uint8_t>(index & ((1u << header_.low_bits) - 1));
    }
    scratch_->index[i] = static_cast<uint16_t>(index >> header_.low_bits);
    return true;
  }

  // One truncated binary code for every group: the indices as digits of a mixed radix.
  void PutGroups(size_t count) {
    BitWriter floor_bits(scratch_->floor_bits.data());
    BitWriter extra_bits(scratch_->extra_bits.data());
    for (size_t i = 0; i < count; i += header_.group) {
      uint64_t number = 0;
      uint64_t codes = 1;
      for (size_t j = i; j < std::min(count, i + header_.group); ++j) {
        number = number * scratch_->codes[j] + scratch_->index[j];
        codes *= scratch_->codes[j];
      }
      const auto width = static_cast<unsigned>(std::bit_width(codes | 1)) - 1;
      const uint64_t threshold = (uint64_t{2} << width) - codes;
      floor_count_ += width;
      if (number < threshold) {
        floor_bits.Put(number, width);
      } else {
        floor_bits.Put((number + threshold) >> 1, width);
        extra_bits.Put((number + threshold) & 1, 1);
        ++extra_count_;
      }
    }
    floor_bits.Finish();
    extra_bits.Finish();
  }

  Header header_;
  RowRange range_;
  std::span<const std::byte> raw_;
  std::span<const std::byte> q_;
  RowBins bins_;
  BinsScratch* scratch_;
  size_t wide_count_ = 0;
  size_t listed_count_ = 0;
  uint64_t floor_count_ = 0;
  uint64_t extra_count_ = 0;
};

template <class T>
size_t Encode(DType dtype, codec::Effort effort, const Codes& codes, std::span<const std::byte> raw,
              BinsScratch* scratch, std::vector<std::byte>* out) {
  Header header;
  header.shift = ChooseShift<T>(dtype, raw, codes.q);
  header.low_bits = LowBits(dtype, header.shift);
  header.group = effort == codec::Effort::kRans ? GroupSize(UsesByteLanes(dtype, header.shift)) : 1;
  // bitsandbytes rounds F32 to F16 first; for 16-bit sources that changes nothing or next to
  // nothing.
  header.via_fp16 = dtype == DType::kF32;
  Encoder<T> encoder(dtype, header, codes, raw, scratch);
  encoder.Run();
  encoder.Write(dtype, effort, out);
  return encoder.listed();
}

}  // namespace

size_t EncodeBins(DType dtype, codec::Effort effort, const Codes& codes,
                  std::span<const std::byte> raw, BinsScratch* scratch,
                  std::vector<std::byte>* out) {
  return dtype == DType::kF32 ? Encode<uint32_t>(dtype, effort, codes, raw, scratch, out)
                              : Encode<uint16_t>(dtype, effort, codes, raw, scratch, out);
}

}  // namespace qstore::scheme
