// SPDX-License-Identifier: Apache-2.0
#include "analyze/level_reader.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "scheme/gptq/gptq_tensor.h"

namespace qstore::analyze {
namespace {

constexpr uint64_t kBandWeights = uint64_t{1} << 20;

Status ReadTensor(const TensorAt& tensor, uint64_t offset, std::span<std::byte> out) {
  return tensor.file->Read(tensor.tensor.begin + offset, out);
}

Result<std::vector<uint32_t>> ReadPatterns(const TensorAt& tensor) {
  std::vector<std::byte> raw(static_cast<size_t>(tensor.byte_size()));
  QSTORE_TRY(ReadTensor(tensor, 0, raw));
  const size_t width = DTypeBits(tensor.tensor.dtype) / 8;
  std::vector<uint32_t> patterns(raw.size() / width);
  for (size_t i = 0; i < patterns.size(); ++i) {
    const std::byte* at = raw.data() + i * width;
    patterns[i] = width == 2 ? base::LoadLe<uint16_t>(at) : base::LoadLe<uint32_t>(at);
  }
  return patterns;
}

}  // namespace

uint64_t LevelReader::BandRows(const Level& level) {
  return std::clamp<uint64_t>(kBandWeights / level.ins, 1, level.outs);
}

Status LevelReader::Read(uint64_t row, uint64_t rows, std::vector<uint16_t>* symbols) {
  const auto ins = static_cast<size_t>(level_.ins);
  const auto count = static_cast<size_t>(rows) * ins;
  symbols->resize(count);
  if (level_.form == LevelForm::kFloat) {
    QSTORE_TRY(
        ReadTensor(level_.weight, row * ins * 2, std::as_writable_bytes(std::span(*symbols))));
    for (uint16_t& symbol : *symbols) symbol = OrdinalOf(symbol);
    return {};
  }
  if (level_.form == LevelForm::kGptq) {
    return ReadGptq(row, static_cast<size_t>(rows), symbols);
  }
  values_.resize(count);
  QSTORE_TRY(ReadTensor(level_.weight, row * ins, std::as_writable_bytes(std::span(values_))));
  std::copy(values_.begin(), values_.end(), symbols->begin());
  return {};
}

// A block of inputs at a time, so that a row's symbols are written a cache line at a time.
Status LevelReader::ReadGptq(uint64_t row, size_t rows, std::vector<uint16_t>* symbols) {
  const auto ins = static_cast<size_t>(level_.ins);
  values_.resize(scheme::kGptqBlock * rows);
  words_.resize(values_.size() * level_.bits / 8);
  for (size_t begin = 0; begin < ins; begin += scheme::kGptqBlock) {
    const size_t count = std::min(scheme::kGptqBlock, ins - begin);
    const size_t first = begin * level_.bits / 32;
    const size_t lines = count * level_.bits / 32;
    for (size_t l = 0; l < lines; ++l) {
      const auto line = std::span(words_).subspan(4 * l * rows, 4 * rows);
      QSTORE_TRY(ReadTensor(level_.weight, ((first + l) * level_.outs + row) * 4,
                            std::as_writable_bytes(line)));
    }
    codec::ActiveKernels().unpack_inputs(words_.data(), level_.bits, count, rows, values_.data());
    for (size_t r = 0; r < rows; ++r) {
      uint16_t* const out = symbols->data() + r * ins + begin;
      for (size_t i = 0; i < count; ++i) out[i] = values_[i * rows + r];
    }
  }
  return {};
}

Result<ScaleTable> ScaleTable::Read(const Level& level) {
  ScaleTable table;
  table.outs_ = level.outs;
  table.groups_ = level.groups;
  QSTORE_TRY(table.ReadGroups(level));
  QSTORE_TRY(table.ReadScales(level));
  return table;
}

Status ScaleTable::ReadGroups(const Level& level) {
  if (groups_ == 1 && !level.g_idx) return {};
  if (!level.g_idx) {
    const uint64_t size = (level.ins + groups_ - 1) / groups_;
    for (uint64_t i = 0; i < level.ins; ++i) group_of_.push_back(static_cast<uint32_t>(i / size));
    return {};
  }
  QSTORE_ASSIGN(group_of_, ReadPatterns(*level.g_idx));
  for (size_t i = 0; i < group_of_.size(); ++i) {
    const auto index = static_cast<int32_t>(group_of_[i]);
    // Counted from the end, as by the loaders.
    const int64_t group = index < 0 ? index + static_cast<int64_t>(groups_) : index;
    if (group < 0 || group >= static_cast<int64_t>(groups_)) {
      return InvalidArgument(io::QuotedName(level.g_idx->tensor.name) + " names group " +
                             std::to_string(index) + " of " + std::to_string(groups_) +
                             " for input " + std::to_string(i));
    }
    group_of_[i] = static_cast<uint32_t>(group);
  }
  return {};
}

Status ScaleTable::ReadScales(const Level& level) {
  QSTORE_ASSIGN(scales_, ReadPatterns(*level.scales));
  std::vector<uint32_t> distinct = scales_;
  std::sort(distinct.begin(), distinct.end());
  distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
  std::vector<uint64_t> group_size(groups_, 0);
  for (const uint32_t group : group_of_) ++group_size[group];
  if (group_of_.empty()) group_size[0] = level.ins;
  weights_.assign(distinct.size(), 0);
  for (size_t i = 0; i < scales_.size(); ++i) {
    const auto found = std::lower_bound(distinct.begin(), distinct.end(), scales_[i]);
    scales_[i] = static_cast<uint32_t>(found - distinct.begin());
    weights_[scales_[i]] += group_size[i / outs_];
  }
  return {};
}

}  // namespace qstore::analyze
