// SPDX-License-Identifier: Apache-2.0
#include "scheme/gptq/gptq_rows.h"

#include <algorithm>
#include <numeric>

#include "base/float_convert.h"
#include "base/status_macros.h"

namespace qstore::scheme {
namespace {

// Inputs unpacked at a time: a cache line of integers.
constexpr size_t kUnpackInputs = 2 * kGptqBlock;

}  // namespace

Status GptqRows::Prepare() {
  QSTORE_TRY(ReadGroups(parent_, &scratch_.group_of));
  OrderInputs();
  const size_t groups = parent_.shape.groups;
  scratch_.scales.resize(groups * rows_);
  for (size_t g = 0; g < groups; ++g) {
    ReadScales(parent_, g, first_row_, rows_, &scratch_.scales[g * rows_]);
  }
  Unpack();
  return {};
}

void GptqRows::SetZeros(GptqZeros zeros) {
  scratch_.zeros.resize(parent_.shape.groups * rows_);
  for (size_t g = 0; g < parent_.shape.groups; ++g) {
    ReadZeros(parent_, zeros, g, first_row_, rows_, &scratch_.zeros[g * rows_]);
  }
}

codec::ResidualRun GptqRows::Run(size_t row, const GroupRun& of, unsigned width) const {
  codec::ResidualRun run;
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

// Counting sort, stable.
void GptqRows::OrderInputs() {
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

void GptqRows::Unpack() {
  // Rows that are powers of two apart would share few sets of the cache.
  pitch_ = inputs() + kUnpackInputs;
  scratch_.q.resize(rows_ * pitch_);
  const unsigned bits = parent_.shape.bits;
  const GptqOutputs outputs = parent_.weights_outputs();
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

}  // namespace qstore::scheme
