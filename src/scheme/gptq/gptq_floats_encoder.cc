// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/float_convert.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_rows.h"

namespace qstore::scheme {
namespace {

// Values looked at to choose how a chunk is coded, and what a listed value takes.
constexpr size_t kSampleValues = 4096;
constexpr double kListedBits = 30;

// Adds how many steps values are off, at most 4 each. Sums go in order, and apart from what
// compilers make vectors of.
template <class ToFloat>
double AddStepsOff(ToFloat to_float, const uint8_t* values, const uint8_t* q, size_t count,
                   float scale, float zero, double sum) {
  constexpr size_t kBlock = 128;
  float off[kBlock];
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t n = std::min(kBlock, count - begin);
    for (size_t i = 0; i < n; ++i) {
      uint16_t pattern;
      std::memcpy(&pattern, values + 2 * (begin + i), sizeof(pattern));
      const float steps = static_cast<float>(q[begin + i]) - zero;
      const float distance = std::fabs(to_float(pattern) / scale - steps);
      off[i] = distance < 4 ? distance : 4;
    }
    for (size_t i = 0; i < n; ++i) sum += static_cast<double>(off[i]);
  }
  return sum;
}

/// Encodes the rows of a chunk, or samples of them.
class Encoder {
 public:
  Encoder(DType dtype, GptqRows* rows, const uint8_t* values, GptqScratch* scratch)
      : dtype_(dtype), rows_(*rows), values_(values), scratch_(*scratch) {
    const size_t total = rows_.rows() * rows_.inputs();
    const size_t inputs = std::max<size_t>(1, rows_.inputs());
    const size_t sampled_rows = std::clamp<size_t>(kSampleValues / inputs, 1, rows_.rows());
    row_step_ = rows_.rows() / sampled_rows;
    scratch_.nibbles.resize(total);
    // At most 11 bits to a value.
    scratch_.low.resize(total * 2 + codec::kReadSlack);
    scratch_.extra.resize(total * 2 + codec::kReadSlack);
    scratch_.listed.resize(total);
  }

  // What zero points of another meaning predict is a whole step off.
  GptqZeros ChooseZeros(unsigned bits) {
    GptqZeros best = GptqZeros::kPlain;
    double least = 0;
    for (unsigned zeros = 0; IsGptqZeros(zeros, bits); ++zeros) {
      rows_.SetZeros(static_cast<GptqZeros>(zeros));
      const double off = StepsOff();
      if (zeros == 0 || off < least) {
        least = off;
        best = static_cast<GptqZeros>(zeros);
      }
    }
    rows_.SetZeros(best);
    return best;
  }

  unsigned ChooseWidth() {
    const unsigned mantissa = MantissaBits(dtype_);
    unsigned best = mantissa - 1;
    double least = SampleBits(best);
    for (unsigned width = mantissa; width <= mantissa + 1; ++width) {
      const double bits = SampleBits(width);
      if (bits >= least) break;
      least = bits;
      best = width;
    }
    for (unsigned width = mantissa - 1; best == width && width-- > 0;) {
      const double bits = SampleBits(width);
      if (bits >= least) break;
      least = bits;
      best = width;
    }
    return best;
  }

  // Fills nibbles, streams and the list.
  codec::ResidualSinks PutAll(unsigned width) {
    codec::ResidualSinks sinks = Sinks();
    for (size_t r = 0; r < rows_.rows(); ++r) {
      for (const GptqRows::GroupRun& run : rows_.runs()) PutRun(r, run, width, &sinks);
    }
    return sinks;
  }

 private:
  codec::ResidualSinks Sinks() {
    scratch_.low[0] = 0;
    scratch_.extra[0] = 0;
    return {{scratch_.low.data(), 0}, {scratch_.extra.data(), 0}, scratch_.listed.data(), 0};
  }

  void PutRun(size_t row, const GptqRows::GroupRun& run, unsigned width,
              codec::ResidualSinks* sinks) {
    const size_t place = row * rows_.inputs() + run.begin;
    const codec::ResidualRun residual = rows_.Run(row, run, width);
    codec::ActiveKernels().put_residual16(
        rows_.q(row) + run.begin, values_ + 2 * place, run.end - run.begin, &residual,
        static_cast<uint32_t>(place), sinks, scratch_.nibbles.data() + place);
  }

  double StepsOff() const {
    double sum = 0;
    for (size_t r = 0; r < rows_.rows(); r += row_step_) {
      for (const GptqRows::GroupRun& run : rows_.runs()) {
        const float scale = rows_.scale(r, run.group);
        if (scale == 0) continue;
        const uint8_t* values = values_ + 2 * (r * rows_.inputs() + run.begin);
        const size_t count = run.end - run.begin;
        const float zero = static_cast<float>(rows_.zero(r, run.group));
        sum = dtype_ == DType::kBF16 ? AddStepsOff(base::Bf16ToFloat, values,
                                                   rows_.q(r) + run.begin, count, scale, zero, sum)
                                     : AddStepsOff(base::Fp16ToFloat, values,
                                                   rows_.q(r) + run.begin, count, scale, zero, sum);
      }
    }
    return sum;
  }

  double SampleBits(unsigned width) {
    codec::ResidualSinks sinks = Sinks();
    codec::Histogram counts{};
    for (size_t r = 0; r < rows_.rows(); r += row_step_) {
      for (const GptqRows::GroupRun& run : rows_.runs()) PutRun(r, run, width, &sinks);
      const uint8_t* nibbles = scratch_.nibbles.data() + r * rows_.inputs();
      for (size_t i = 0; i < rows_.inputs(); ++i) ++counts[nibbles[i]];
    }
    return codec::EntropyBits(counts) + static_cast<double>(sinks.low_bits.position) +
           static_cast<double>(sinks.extra_bits.position) +
           kListedBits * static_cast<double>(sinks.listed_count);
  }

  DType dtype_;
  GptqRows& rows_;
  const uint8_t* values_;  // In the order of groups.
  GptqScratch& scratch_;
  size_t row_step_ = 1;
};

void AppendBits(const uint8_t* bytes, uint64_t bits, std::vector<std::byte>* out) {
  base::ByteWriter(out).Bytes(std::as_bytes(std::span(bytes, static_cast<size_t>((bits + 7) / 8))));
}

}  // namespace

std::optional<size_t> EncodeGptqFloats(DType dtype, codec::Effort effort, uint64_t first_row,
                                       std::span<const std::byte> raw, const GptqTensor& parent,
                                       GptqScratch* scratch, std::vector<std::byte>* out) {
  const size_t row_bytes = 2 * parent.shape.inputs;
  GptqRows rows(dtype, parent, first_row, raw.size() / row_bytes, scratch);
  if (!rows.Prepare().ok()) return std::nullopt;
  const auto* values = reinterpret_cast<const uint8_t*>(raw.data());
  if (!rows.is_ordered()) {
    scratch->ordered.resize(raw.size());
    for (size_t r = 0; r < rows.rows(); ++r) {
      rows.ToGroups(values + r * row_bytes, scratch->ordered.data() + r * row_bytes);
    }
    values = scratch->ordered.data();
  }
  Encoder encoder(dtype, &rows, values, scratch);
  const GptqZeros zeros = encoder.ChooseZeros(parent.shape.bits);
  const unsigned width = encoder.ChooseWidth();
  const codec::ResidualSinks sinks = encoder.PutAll(width);

  base::ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(zeros));
  writer.Fixed(static_cast<uint8_t>(width));
  writer.Varint(sinks.low_bits.position);
  writer.Varint(sinks.extra_bits.position);
  codec::EncodeNibbles(effort, scratch->nibbles, &scratch->planes, out);
  AppendBits(sinks.low_bits.bytes, sinks.low_bits.position, out);
  AppendBits(sinks.extra_bits.bytes, sinks.extra_bits.position, out);
  writer.Varint(sinks.listed_count);
  size_t next = 0;
  for (size_t i = 0; i < sinks.listed_count; ++i) {
    const size_t place = sinks.listed[i];
    writer.Varint(place - next);
    writer.Bytes(std::as_bytes(std::span(values + 2 * place, 2)));
    next = place + 1;
  }
  return sinks.listed_count;
}

}  // namespace qstore::scheme
