// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_inputs.h"

namespace qstore::scheme {
namespace {

using gptq::Inputs;
using gptq::MostWidth;
using gptq::RowCount;

// Rows looked at to choose how a chunk is coded, and what a listed value takes.
constexpr size_t kSampleRows = 4;
constexpr double kListedBits = 22;
// Differences of 8 bits whose sum fits 32 bits with room to spare.
constexpr size_t kSummed = 4096;

/// Encodes the inputs of a chunk, or samples of them.
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
    for (unsigned o = 0; IsGptqZeros(o, own_.shape.bits); ++o) {
      for (unsigned p = 0; IsGptqZeros(p, parent_.shape.bits); ++p) {
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

}  // namespace qstore::scheme
