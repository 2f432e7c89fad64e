// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/float_convert.h"
#include "base/status_macros.h"
#include "chain/gptq_coder.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"

namespace qstore::chain {
namespace {

using codec::ResidualRun;
using quant::GptqTensor;
using quant::GptqZeros;

constexpr unsigned MantissaBits(DType dtype) { return dtype == DType::kBF16 ? 7 : 10; }

// Values looked at to choose how a chunk is coded, and what a listed value takes.
constexpr size_t kSampleValues = 4096;
constexpr double kListedBits = 30;

// Inputs unpacked at a time: a cache line of integers.
constexpr size_t kUnpackInputs = 2 * quant::kGptqBlock;

// Inputs of one group in the order of groups.
struct GroupRun {
  uint32_t group;
  size_t begin;
  size_t end;
};

/// A parent's integers, scales and zero points for the rows of a chunk, each row's inputs in the
/// order of their groups.
class Rows {
 public:
  Rows(DType dtype, const GptqTensor& parent, uint64_t first_row, size_t rows, GptqScratch* scratch)
      : dtype_(dtype), parent_(parent), first_row_(first_row), rows_(rows), scratch_(*scratch) {}

  Status Prepare() {
    QSTORE_TRY(quant::ReadGroups(parent_, &scratch_.group_of));
    OrderInputs();
    const size_t groups = parent_.shape.groups;
    scratch_.scales.resize(groups * rows_);
    for (size_t g = 0; g < groups; ++g) {
      quant::ReadScales(parent_, g, first_row_, rows_, &scratch_.scales[g * rows_]);
    }
    Unpack();
    return {};
  }

  void SetZeros(GptqZeros zeros) {
    scratch_.zeros.resize(parent_.shape.groups * rows_);
    for (size_t g = 0; g < parent_.shape.groups; ++g) {
      quant::ReadZeros(parent_, zeros, g, first_row_, rows_, &scratch_.zeros[g * rows_]);
    }
  }

  size_t rows() const { return rows_; }
  size_t inputs() const { return parent_.shape.inputs; }
  bool is_ordered() const { return is_ordered_; }
  std::span<const GroupRun> runs() const { return runs_; }
  const uint8_t* q(size_t row) const { return scratch_.q.data() + row * pitch_; }
  float scale(size_t row, uint32_t group) const { return scratch_.scales[group * rows_ + row]; }
  int32_t zero(size_t row, uint32_t group) const { return scratch_.zeros[group * rows_ + row]; }

  ResidualRun Run(size_t row, const GroupRun& of, unsigned width) const {
    ResidualRun run;
    run.scale = scale(row, of.group);
    run.zero = zero(row, of.group);
    run.count = static_cast<uint32_t>(of.end - of.begin);
    run.width = static_cast<uint16_t>(width);
    run.is_bf16 = dtype_ == DType::kBF16;
    const uint16_t pattern =
        run.is_bf16 ? base::FloatToBf16(run.scale) : base::FloatToFp16(run.scale);
    run.exponent = static_cast<uint16_t>(std::max(1, (pattern & 0x7fff) >> MantissaBits(dtype_)));
    return run;
  }

  // Rows of 16-bit values, from the order of inputs to that of groups and back.
  void ToGroups(const uint8_t* in, uint8_t* out) const { Reorder<true>(in, out); }
  void ToInputs(const uint8_t* in, uint8_t* out) const { Reorder<false>(in, out); }

 private:
  // Counting sort, stable.
  void OrderInputs() {
    const auto& group_of = scratch_.group_of;
    is_ordered_ = std::is_sorted(group_of.begin(), group_of.end());
    std::vector<uint32_t> begins(parent_.shape.groups + 1);
    for (const uint32_t group : group_of) ++begins[group + 1];
    std::partial_sum(begins.begin(), begins.end(), begins.begin());
    for (uint32_t g = 0; g < parent_.shape.groups; ++g) {
      if (begins[g] < begins[g + 1]) runs_.push_back({g, begins[g], begins[g + 1]});
    }
    scratch_.rank.resize(group_of.size());
    for (size_t i = 0; i < group_of.size(); ++i) scratch_.rank[i] = begins[group_of[i]]++;
  }

  void Unpack() {
    // Rows that are powers of two apart would share few sets of the cache.
    pitch_ = inputs() + kUnpackInputs;
    scratch_.q.resize(rows_ * pitch_);
    const unsigned bits = parent_.shape.bits;
    const base::GptqOutputs outputs = parent_.weights_outputs();
    const uint64_t word_row = 4 * outputs.count;
    const auto* words =
        reinterpret_cast<const uint8_t*>(parent_.weights.data()) + 4 * (first_row_ - outputs.first);
    const codec::Kernels& kernels = codec::ActiveKernels();
    const bool is_direct = is_ordered_ && bits == 8;
    constexpr size_t kStreamPitch = kUnpackInputs + codec::kReadSlack;
    scratch_.streams.resize(rows_ * kStreamPitch);
    for (size_t i = 0; i < inputs(); i += kUnpackInputs) {
      const size_t count = std::min(kUnpackInputs, inputs() - i);
      uint8_t* const block = is_direct ? scratch_.q.data() + i : scratch_.streams.data();
      kernels.transpose_words(words + i * bits / 32 * word_row, word_row, count * bits / 32, rows_,
                              block, is_direct ? pitch_ : kStreamPitch);
      for (size_t r = 0; !is_direct && r < rows_; ++r) {
        const uint8_t* stream = block + r * kStreamPitch;
        uint8_t* out = scratch_.q.data() + r * pitch_;
        uint8_t unordered[kUnpackInputs];
        uint8_t* to = is_ordered_ ? out + i : unordered;
        if (bits == 8) {
          std::memcpy(to, stream, count);
        } else {
          kernels.unpack(stream, bits, count, to);
        }
        for (size_t j = 0; !is_ordered_ && j < count; ++j) out[scratch_.rank[i + j]] = to[j];
      }
    }
  }

  template <bool kToGroups>
  void Reorder(const uint8_t* in, uint8_t* out) const {
    const uint32_t* rank = scratch_.rank.data();
    for (size_t i = 0; i < inputs(); ++i) {
      const size_t from = kToGroups ? i : rank[i];
      const size_t to = kToGroups ? rank[i] : i;
      std::memcpy(out + 2 * to, in + 2 * from, 2);
    }
  }

  DType dtype_;
  const GptqTensor& parent_;
  uint64_t first_row_;
  size_t rows_;
  GptqScratch& scratch_;
  std::vector<GroupRun> runs_;
  bool is_ordered_ = true;
  size_t pitch_ = 0;
};

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
  Encoder(DType dtype, Rows* rows, const uint8_t* values, GptqScratch* scratch)
      : dtype_(dtype), rows_(*rows), values_(values), scratch_(*scratch) {
    const size_t total = rows_.rows() * rows_.inputs();
    const size_t sampled_rows = std::clamp<size_t>(kSampleValues / rows_.inputs(), 1, rows_.rows());
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
    for (unsigned zeros = 0; quant::IsGptqZeros(zeros, bits); ++zeros) {
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
      for (const GroupRun& run : rows_.runs()) PutRun(r, run, width, &sinks);
    }
    return sinks;
  }

 private:
  codec::ResidualSinks Sinks() {
    scratch_.low[0] = 0;
    scratch_.extra[0] = 0;
    return {{scratch_.low.data(), 0}, {scratch_.extra.data(), 0}, scratch_.listed.data(), 0};
  }

  void PutRun(size_t row, const GroupRun& run, unsigned width, codec::ResidualSinks* sinks) {
    const size_t place = row * rows_.inputs() + run.begin;
    const ResidualRun residual = rows_.Run(row, run, width);
    codec::ActiveKernels().put_residual16(
        rows_.q(row) + run.begin, values_ + 2 * place, run.end - run.begin, &residual,
        static_cast<uint32_t>(place), sinks, scratch_.nibbles.data() + place);
  }

  double StepsOff() const {
    double sum = 0;
    for (size_t r = 0; r < rows_.rows(); r += row_step_) {
      for (const GroupRun& run : rows_.runs()) {
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
      for (const GroupRun& run : rows_.runs()) PutRun(r, run, width, &sinks);
      const uint8_t* nibbles = scratch_.nibbles.data() + r * rows_.inputs();
      for (size_t i = 0; i < rows_.inputs(); ++i) ++counts[nibbles[i]];
    }
    return codec::EntropyBits(counts) + static_cast<double>(sinks.low_bits.position) +
           static_cast<double>(sinks.extra_bits.position) +
           kListedBits * static_cast<double>(sinks.listed_count);
  }

  DType dtype_;
  Rows& rows_;
  const uint8_t* values_;  // In the order of groups.
  GptqScratch& scratch_;
  size_t row_step_ = 1;
};

void AppendBits(const uint8_t* bytes, uint64_t bits, std::vector<std::byte>* out) {
  base::ByteWriter(out).Bytes(std::as_bytes(std::span(bytes, static_cast<size_t>((bits + 7) / 8))));
}

Result<codec::BitCursor> ReadBits(base::ByteReader* payload, uint64_t bits) {
  const auto bytes = payload->Bytes(bits / 8 + (bits % 8 != 0));
  if (!payload->ok()) return Corrupt("gptq floats: bit streams are cut short");
  return codec::BitCursor{reinterpret_cast<const uint8_t*>(bytes.data()), 0, bits};
}

Status ReadListed(base::ByteReader* payload, size_t count, uint8_t* values) {
  const uint64_t listed = payload->Varint();
  if (listed > count) return Corrupt("gptq floats: more values listed than there are");
  uint64_t next = 0;
  for (uint64_t i = 0; i < listed; ++i, ++next) {
    const uint64_t skip = payload->Varint();
    const auto value = payload->Fixed<uint16_t>();
    if (!payload->ok() || skip >= count - next) {
      return Corrupt("gptq floats: listed value out of range");
    }
    next += skip;
    std::memcpy(values + 2 * next, &value, sizeof(value));
  }
  return payload->ok() ? Status() : Corrupt("gptq floats: list of values missing");
}

}  // namespace

std::optional<size_t> EncodeGptqFloats(DType dtype, codec::Effort effort, uint64_t first_row,
                                       std::span<const std::byte> raw, const GptqTensor& parent,
                                       GptqScratch* scratch, std::vector<std::byte>* out) {
  const size_t row_bytes = 2 * parent.shape.inputs;
  Rows rows(dtype, parent, first_row, raw.size() / row_bytes, scratch);
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

Status DecodeGptqFloats(DType dtype, uint64_t first_row, base::ByteReader* payload,
                        const GptqTensor& parent, GptqScratch* scratch, std::span<std::byte> raw) {
  const size_t row_bytes = 2 * parent.shape.inputs;
  const size_t count = raw.size() / 2;
  const unsigned zeros = payload->Fixed<uint8_t>();
  const unsigned width = payload->Fixed<uint8_t>();
  const uint64_t low_count = payload->Varint();
  const uint64_t extra_count = payload->Varint();
  if (!quant::IsGptqZeros(zeros, parent.shape.bits) || width > MantissaBits(dtype) + 1) {
    return Corrupt("gptq floats: header out of range");
  }
  scratch->nibbles.resize(count);
  QSTORE_TRY(codec::DecodeNibbles(payload, &scratch->planes, scratch->nibbles));
  QSTORE_ASSIGN(codec::BitCursor low, ReadBits(payload, low_count));
  QSTORE_ASSIGN(codec::BitCursor extra, ReadBits(payload, extra_count));
  Rows rows(dtype, parent, first_row, raw.size() / row_bytes, scratch);
  QSTORE_TRY(rows.Prepare());
  rows.SetZeros(static_cast<GptqZeros>(zeros));
  auto* values = reinterpret_cast<uint8_t*>(raw.data());
  if (!rows.is_ordered()) {
    scratch->ordered.resize(raw.size());
    values = scratch->ordered.data();
  }
  std::vector<ResidualRun> runs(rows.runs().size());
  for (size_t r = 0; r < rows.rows(); ++r) {
    for (size_t i = 0; i < runs.size(); ++i) runs[i] = rows.Run(r, rows.runs()[i], width);
    const size_t place = r * rows.inputs();
    codec::ActiveKernels().residual16(rows.q(r), scratch->nibbles.data() + place, runs.data(),
                                      runs.size(), &low, &extra, values + 2 * place);
  }
  if (low.position != low.limit || extra.position != extra.limit) {
    return Corrupt("gptq floats: bit streams do not end where their counts say");
  }
  QSTORE_TRY(ReadListed(payload, count, values));
  for (size_t r = 0; !rows.is_ordered() && r < rows.rows(); ++r) {
    rows.ToInputs(values + r * row_bytes, reinterpret_cast<uint8_t*>(raw.data()) + r * row_bytes);
  }
  return {};
}

}  // namespace qstore::chain
