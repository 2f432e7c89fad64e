// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "base/status_macros.h"
#include "chain/gptq_coder.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"

namespace qstore::chain {
namespace {

using quant::GptqTensor;
using quant::GptqZeros;

// Residuals are coded as a nibble and what lies below it.
constexpr unsigned kNibbleBits = 4;
// Rows looked at to choose how a chunk is coded, and what a listed value takes.
constexpr size_t kSampleRows = 4;
constexpr double kListedBits = 22;
// Differences of 8 bits whose sum fits 32 bits with room to spare.
constexpr size_t kSummed = 4096;

unsigned MostWidth(unsigned bits) { return bits > kNibbleBits ? bits - kNibbleBits : 0; }

/// Scales and zero points of one tensor, read group by group when they are first asked for.
class Groups {
 public:
  Groups(const GptqTensor& tensor, std::vector<float>* scales, std::vector<uint8_t>* zeros)
      : tensor_(tensor), scales_(*scales), zeros_(*zeros) {
    const size_t outputs = tensor.shape.outputs;
    scales_.resize(tensor.shape.groups * outputs);
    zeros_.resize(tensor.shape.groups * outputs);
    has_scales_.assign(tensor.shape.groups, false);
    has_zeros_.assign(tensor.shape.groups, false);
  }
  void SetZeros(GptqZeros zeros) {
    meaning_ = zeros;
    has_zeros_.assign(has_zeros_.size(), false);
  }
  const float* scales(uint32_t group) {
    const size_t outputs = tensor_.shape.outputs;
    float* const scales = &scales_[group * outputs];
    if (!has_scales_[group]) quant::ReadScales(tensor_, group, 0, outputs, scales);
    has_scales_[group] = true;
    return scales;
  }
  const uint8_t* zeros(uint32_t group) {
    const size_t outputs = tensor_.shape.outputs;
    uint8_t* const zeros = &zeros_[group * outputs];
    if (!has_zeros_[group]) quant::ReadZeros(tensor_, meaning_, group, 0, outputs, zeros);
    has_zeros_[group] = true;
    return zeros;
  }

  const GptqTensor& tensor() const { return tensor_; }

 private:
  const GptqTensor& tensor_;
  std::vector<float>& scales_;
  std::vector<uint8_t>& zeros_;
  std::vector<bool> has_scales_;
  std::vector<bool> has_zeros_;
  GptqZeros meaning_ = GptqZeros::kPlain;
};

/// The inputs of a chunk, each a row of all outputs, with what predicts them.
class Inputs {
 public:
  Inputs(uint64_t first, size_t rows, const GptqTensor& own, const GptqTensor& parent,
         GptqScratch* scratch)
      : first_(first),
        rows_(rows),
        columns_(own.shape.outputs),
        bits_(own.shape.bits),
        own_(own, &scratch->own_scales, &scratch->own_zeros),
        parent_(parent, &scratch->scales, &scratch->zeros),
        scratch_(*scratch),
        ratio_(columns_) {}

  Status Prepare(const GptqTensor& own, const GptqTensor& parent,
                 std::span<const std::byte> parent_words) {
    QSTORE_TRY(quant::ReadGroups(own, &scratch_.own_group_of));
    QSTORE_TRY(quant::ReadGroups(parent, &scratch_.group_of));
    scratch_.q.resize(rows_ * columns_);
    codec::ActiveKernels().unpack_inputs(reinterpret_cast<const uint8_t*>(parent_words.data()),
                                         parent.shape.bits, rows_, columns_, scratch_.q.data());
    return {};
  }

  void SetZeros(GptqZeros own, GptqZeros parent) {
    own_.SetZeros(own);
    parent_.SetZeros(parent);
  }

  // Whether zero points meant in words differ from others for some of the rows.
  bool OwnCarry(std::span<const size_t> rows) const {
    return AnyCarry(own_.tensor(), scratch_.own_group_of, rows);
  }
  bool ParentCarry(std::span<const size_t> rows) const {
    return AnyCarry(parent_.tensor(), scratch_.group_of, rows);
  }

  size_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  const uint8_t* parent_q(size_t row) const { return scratch_.q.data() + row * columns_; }

  codec::IntegerRun Run(size_t row, unsigned width) {
    const uint32_t own = scratch_.own_group_of[first_ + row];
    const uint32_t parent = scratch_.group_of[first_ + row];
    const codec::IntegerRun run{ratio_.data(), parent_.zeros(parent), own_.zeros(own), bits_,
                                width};
    if (!has_ratio_ || own != ratio_own_ || parent != ratio_parent_) {
      const float* over = parent_.scales(parent);
      const float* under = own_.scales(own);
      for (size_t c = 0; c < columns_; ++c) ratio_[c] = under[c] != 0 ? over[c] / under[c] : 0.0f;
      ratio_own_ = own;
      ratio_parent_ = parent;
      has_ratio_ = true;
    }
    return run;
  }

 private:
  bool AnyCarry(const GptqTensor& tensor, const std::vector<uint32_t>& group_of,
                std::span<const size_t> rows) const {
    return std::any_of(rows.begin(), rows.end(), [&](size_t row) {
      return quant::ZerosCarry(tensor, group_of[first_ + row]);
    });
  }

  uint64_t first_;
  size_t rows_;
  size_t columns_;
  unsigned bits_;
  Groups own_;
  Groups parent_;
  GptqScratch& scratch_;
  std::vector<float> ratio_;  // By column, of the last groups asked for.
  uint32_t ratio_own_ = 0;
  uint32_t ratio_parent_ = 0;
  bool has_ratio_ = false;
};

class Encoder {
 public:
  Encoder(Inputs* inputs, const GptqTensor& own, const GptqTensor& parent, GptqScratch* scratch)
      : inputs_(*inputs), own_(own), parent_(parent), scratch_(*scratch) {
    const size_t total = inputs_.rows() * inputs_.columns();
    scratch_.nibbles.resize(total);
    scratch_.low.resize(total);
    scratch_.flags.resize(total);
    const size_t step = std::max<size_t>(1, inputs_.rows() / kSampleRows);
    for (size_t r = 0; r < inputs_.rows(); r += step) samples_.push_back(r);
    scratch_.differences.resize(samples_.size() * inputs_.columns());
    scratch_.least.resize(samples_.size() * inputs_.columns());
  }

  // Leaves the samples' differences under what is chosen in scratch.least.
  void ChooseZeros(GptqZeros* own, GptqZeros* parent) {
    const bool own_carry = inputs_.OwnCarry(samples_);
    const bool parent_carry = inputs_.ParentCarry(samples_);
    uint64_t least = UINT64_MAX;
    for (unsigned o = 0; quant::IsGptqZeros(o, own_.shape.bits); ++o) {
      for (unsigned p = 0; quant::IsGptqZeros(p, parent_.shape.bits); ++p) {
        const auto o_zeros = static_cast<GptqZeros>(o);
        const auto p_zeros = static_cast<GptqZeros>(p);
        // Without a carry these are the same as kLessOne, which came before.
        if (o_zeros == GptqZeros::kWordsLessOne && !own_carry) continue;
        if (p_zeros == GptqZeros::kWordsLessOne && !parent_carry) continue;
        inputs_.SetZeros(o_zeros, p_zeros);
        const uint64_t distance = Distance();
        if (distance >= least) continue;
        least = distance;
        *own = o_zeros;
        *parent = p_zeros;
        std::swap(scratch_.differences, scratch_.least);
      }
    }
    inputs_.SetZeros(*own, *parent);
  }

  // REQUIRES: ChooseZeros was called.
  unsigned ChooseWidth() {
    codec::Histogram differences;
    codec::CountBytes(scratch_.least.data(), scratch_.least.size(), &differences);
    unsigned best = MostWidth(own_.shape.bits);
    double least = SampleBits(differences, best);
    for (unsigned width = best; width-- > 0;) {
      const double bits = SampleBits(differences, width);
      if (bits >= least) break;
      least = bits;
      best = width;
    }
    return best;
  }

  void PutRow(size_t row, unsigned width) {
    const codec::IntegerRun run = inputs_.Run(row, width);
    const size_t at = row * inputs_.columns();
    codec::ActiveKernels().put_integer_residual(
        inputs_.parent_q(row), scratch_.own_q.data() + at, inputs_.columns(), &run,
        scratch_.nibbles.data() + at, scratch_.low.data() + at, scratch_.flags.data() + at);
  }

 private:
  // Of the samples; leaves their differences in scratch.differences.
  uint64_t Distance() {
    const size_t columns = inputs_.columns();
    uint8_t* out = scratch_.differences.data();
    for (const size_t row : samples_) {
      const codec::IntegerRun run = inputs_.Run(row, 0);
      codec::ActiveKernels().integer_differences(
          inputs_.parent_q(row), scratch_.own_q.data() + row * columns, columns, &run, out);
      out += columns;
    }
    uint64_t sum = 0;
    // Of few values, so that a compiler makes vectors of these.
    for (size_t i = 0; i < scratch_.differences.size();) {
      const size_t end = std::min(scratch_.differences.size(), i + kSummed);
      uint32_t part = 0;
      for (; i < end; ++i) {
        part += static_cast<uint32_t>(std::abs(static_cast<int8_t>(scratch_.differences[i])));
      }
      sum += part;
    }
    return sum;
  }

  double SampleBits(const codec::Histogram& differences, unsigned width) const {
    const uint32_t zero = 8u << width;
    codec::Histogram nibbles{};
    uint32_t listed = 0;
    for (uint32_t d = 0; d < differences.size(); ++d) {
      const uint32_t moved = (d + zero) & 0xff;
      const bool fits = moved < 2 * zero;
      nibbles[(fits ? moved : zero) >> width] += differences[d];
      listed += fits ? 0 : differences[d];
    }
    return codec::EntropyBits(nibbles) + width * static_cast<double>(scratch_.least.size()) +
           kListedBits * static_cast<double>(listed);
  }

  Inputs& inputs_;
  const GptqTensor& own_;
  const GptqTensor& parent_;
  GptqScratch& scratch_;
  std::vector<size_t> samples_;  // Rows.
};

// Places of the few flags that are set.
std::vector<uint32_t> FindListed(std::span<const uint8_t> flags) {
  std::vector<uint32_t> listed;
  constexpr size_t kBlock = 64;
  for (size_t begin = 0; begin < flags.size(); begin += kBlock) {
    const auto block = flags.subspan(begin, std::min(kBlock, flags.size() - begin));
    uint8_t any = 0;
    for (const uint8_t flag : block) any |= flag;
    for (size_t i = 0; any != 0 && i < block.size(); ++i) {
      if (block[i] != 0) listed.push_back(static_cast<uint32_t>(begin + i));
    }
  }
  return listed;
}

size_t RowCount(std::span<const std::byte> raw, const base::GptqShape& shape) {
  return 8 * raw.size() / (shape.outputs * shape.bits);
}

}  // namespace

std::optional<size_t> EncodeGptqIntegers(codec::Effort effort, uint64_t first_input,
                                         std::span<const std::byte> raw, const GptqTensor& own,
                                         std::span<const std::byte> parent_words,
                                         const GptqTensor& parent, GptqScratch* scratch,
                                         std::vector<std::byte>* out) {
  Inputs inputs(first_input, RowCount(raw, own.shape), own, parent, scratch);
  if (!inputs.Prepare(own, parent, parent_words).ok()) return std::nullopt;
  const size_t total = inputs.rows() * inputs.columns();
  scratch->own_q.resize(total);
  codec::ActiveKernels().unpack_inputs(reinterpret_cast<const uint8_t*>(raw.data()), own.shape.bits,
                                       inputs.rows(), inputs.columns(), scratch->own_q.data());
  Encoder encoder(&inputs, own, parent, scratch);
  GptqZeros own_zeros = GptqZeros::kPlain;
  GptqZeros parent_zeros = GptqZeros::kPlain;
  encoder.ChooseZeros(&own_zeros, &parent_zeros);
  const unsigned width = encoder.ChooseWidth();
  for (size_t r = 0; r < inputs.rows(); ++r) encoder.PutRow(r, width);

  base::ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(parent_zeros));
  writer.Fixed(static_cast<uint8_t>(own_zeros));
  writer.Fixed(static_cast<uint8_t>(width));
  codec::EncodeNibbles(effort, scratch->nibbles, &scratch->planes, out);
  if (width > 0) codec::EncodePlane(scratch->low, effort, out);
  const std::vector<uint32_t> listed = FindListed(scratch->flags);
  writer.Varint(listed.size());
  uint32_t next = 0;
  for (const uint32_t place : listed) {
    writer.Varint(place - next);
    writer.Fixed(scratch->own_q[place]);
    next = place + 1;
  }
  return listed.size();
}

Status DecodeGptqIntegers(uint64_t first_input, base::ByteReader* payload, const GptqTensor& own,
                          std::span<const std::byte> parent_words, const GptqTensor& parent,
                          GptqScratch* scratch, std::span<std::byte> raw) {
  const unsigned parent_zeros = payload->Fixed<uint8_t>();
  const unsigned own_zeros = payload->Fixed<uint8_t>();
  const unsigned width = payload->Fixed<uint8_t>();
  const unsigned bits = own.shape.bits;
  if (!quant::IsGptqZeros(parent_zeros, parent.shape.bits) ||
      !quant::IsGptqZeros(own_zeros, bits) || width > MostWidth(bits)) {
    return Corrupt("gptq integers: header out of range");
  }
  Inputs inputs(first_input, RowCount(raw, own.shape), own, parent, scratch);
  QSTORE_TRY(inputs.Prepare(own, parent, parent_words));
  inputs.SetZeros(static_cast<GptqZeros>(own_zeros), static_cast<GptqZeros>(parent_zeros));
  const size_t total = inputs.rows() * inputs.columns();
  scratch->nibbles.resize(total);
  QSTORE_TRY(codec::DecodeNibbles(payload, &scratch->planes, scratch->nibbles));
  const uint8_t* low = nullptr;
  if (width > 0) {
    QSTORE_ASSIGN(low, codec::DecodePlane(payload, total, scratch->planes.Get(1, total)));
  } else {
    scratch->low.assign(inputs.columns(), 0);
  }
  scratch->own_q.resize(total);
  for (size_t r = 0; r < inputs.rows(); ++r) {
    const codec::IntegerRun run = inputs.Run(r, width);
    const size_t at = r * inputs.columns();
    codec::ActiveKernels().integer_residual(inputs.parent_q(r), scratch->nibbles.data() + at,
                                            width > 0 ? low + at : scratch->low.data(),
                                            inputs.columns(), &run, scratch->own_q.data() + at);
  }
  const uint64_t listed = payload->Varint();
  if (listed > total) return Corrupt("gptq integers: more values listed than there are");
  size_t next = 0;
  for (uint64_t i = 0; i < listed; ++i, ++next) {
    const uint64_t skip = payload->Varint();
    const auto value = payload->Fixed<uint8_t>();
    if (!payload->ok() || skip >= total - next || value >> bits != 0) {
      return Corrupt("gptq integers: listed value out of range");
    }
    next += static_cast<size_t>(skip);
    scratch->own_q[next] = value;
  }
  if (!payload->ok()) return Corrupt("gptq integers: list of values missing");
  codec::ActiveKernels().pack_inputs(scratch->own_q.data(), bits, inputs.rows(), inputs.columns(),
                                     reinterpret_cast<uint8_t*>(raw.data()));
  return {};
}

}  // namespace qstore::chain
