// SPDX-License-Identifier: Apache-2.0
#include "scheme/gptq/gptq_weights.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "scheme/gptq/gptq_tensor.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kCodesSuffix = ".qweight";

enum Part : uint8_t { kCodes, kScales };

class GptqWeights final : public QuantizedWeights {
 public:
  /// `groups` is the place of g_idx among the parts.
  GptqWeights(const MatrixShape& shape, std::vector<WeightPart> parts, DType scales_dtype,
              std::optional<size_t> groups)
      : QuantizedWeights(shape, std::move(parts)), scales_dtype_(scales_dtype), groups_(groups) {}

  // A block of inputs at a time, so that a row's codes are written a cache line at a time.
  Status ReadCodes(const PartReader& read, uint64_t row, uint64_t rows,
                   std::span<uint16_t> codes) const override {
    const auto outputs = static_cast<size_t>(rows);
    const auto inputs = static_cast<size_t>(shape().columns);
    const unsigned bits = shape().bits;
    std::vector<uint8_t> values(kGptqBlock * outputs);
    std::vector<uint8_t> words(values.size() * bits / 8);
    for (size_t begin = 0; begin < inputs; begin += kGptqBlock) {
      const size_t count = std::min(kGptqBlock, inputs - begin);
      const size_t first = begin * bits / 32;
      const size_t lines = count * bits / 32;
      for (size_t l = 0; l < lines; ++l) {
        const auto line = std::span(words).subspan(4 * l * outputs, 4 * outputs);
        QSTORE_TRY(
            read(kCodes, ((first + l) * shape().rows + row) * 4, std::as_writable_bytes(line)));
      }
      codec::ActiveKernels().unpack_inputs(words.data(), bits, count, outputs, values.data());
      for (size_t r = 0; r < outputs; ++r) {
        uint16_t* const out = codes.data() + r * inputs + begin;
        for (size_t i = 0; i < count; ++i) out[i] = values[i * outputs + r];
      }
    }
    return {};
  }

  Result<WeightScales> ReadScales(const PartReader& read) const override {
    WeightScales scales;
    QSTORE_ASSIGN(scales.group_of, ReadGroupOf(read));
    QSTORE_ASSIGN(scales.patterns,
                  ReadPatterns(read, kScales, scales_dtype_, shape().groups * shape().rows));
    return scales;
  }

 private:
  Result<std::vector<uint32_t>> ReadGroupOf(const PartReader& read) const {
    std::vector<uint32_t> group_of;
    const uint64_t groups = shape().groups;
    if (!groups_) {
      if (groups == 1) return group_of;
      const uint64_t size = (shape().columns + groups - 1) / groups;
      for (uint64_t i = 0; i < shape().columns; ++i) {
        group_of.push_back(static_cast<uint32_t>(i / size));
      }
      return group_of;
    }
    QSTORE_ASSIGN(group_of, ReadPatterns(read, *groups_, DType::kI32, shape().columns));
    for (size_t i = 0; i < group_of.size(); ++i) {
      const auto index = static_cast<int32_t>(group_of[i]);
      // Counted from the end, as by the loaders.
      const int64_t group = index < 0 ? index + static_cast<int64_t>(groups) : index;
      if (group < 0 || group >= static_cast<int64_t>(groups)) {
        return InvalidArgument("g_idx names group " + std::to_string(index) + " of " +
                               std::to_string(groups) + " for input " + std::to_string(i));
      }
      group_of[i] = static_cast<uint32_t>(group);
    }
    return group_of;
  }

  DType scales_dtype_;
  std::optional<size_t> groups_;
};

// The tensors of a module, and the shape that follows from theirs.
class Finder {
 public:
  Finder(size_t codes, const TensorTable& table, Refusal* refusal)
      : table_(table), refusal_(*refusal), codes_(codes) {
    const auto module = *ModuleOfGptq(table.tensor(codes));
    scales_ = FindIn(table, module, ".scales");
    zeros_ = FindIn(table, module, ".qzeros");
    groups_ = FindIn(table, module, ".g_idx");
  }

  std::unique_ptr<const QuantizedWeights> Find() {
    if (!CheckScales() || !CheckCodes() || !CheckGroups() || !CheckZeros()) return nullptr;
    std::vector<WeightPart> parts = {{codes_, size_t{1}}, {*scales_, size_t{1}}};
    if (zeros_) parts.push_back({*zeros_, size_t{1}});
    std::optional<size_t> group_part;
    if (groups_) {
      group_part = parts.size();
      parts.push_back({*groups_, std::nullopt});
    }
    const DType dtype = table_.tensor(*scales_).dtype;
    return std::make_unique<GptqWeights>(shape_, std::move(parts), dtype, group_part);
  }

 private:
  bool Refuse(size_t tensor, std::string rule) {
    refusal_ = {tensor, std::move(rule)};
    return false;
  }

  bool CheckScales() {
    if (!scales_) return Refuse(codes_, "but there are no scales beside it");
    const TensorDesc scales = table_.tensor(*scales_);
    const bool floats =
        scales.dtype == DType::kF16 || scales.dtype == DType::kBF16 || scales.dtype == DType::kF32;
    if (!floats || scales.shape.size() != 2 || scales.shape[0] == 0) {
      return Refuse(*scales_, "not floats [groups, outputs]");
    }
    shape_.groups = scales.shape[0];
    return true;
  }

  // The number of inputs, from the tensors that tell it: g_idx has one entry for each, the zero
  // points are as wide as the weights.
  bool CheckCodes() {
    const TensorDesc codes = table_.tensor(codes_);
    if (codes.dtype != DType::kI32 || codes.shape.size() != 2) {
      return Refuse(codes_, "not I32 with two dimensions");
    }
    shape_.rows = codes.shape[1];
    const uint64_t words = codes.shape[0];
    if (shape_.rows == 0 || words == 0) return Refuse(codes_, "empty");
    if (table_.tensor(*scales_).shape[1] != shape_.rows) return RefuseScales();
    uint64_t bits = 0;
    if (groups_) {
      const TensorDesc groups = table_.tensor(*groups_);
      if (groups.dtype != DType::kI32 || groups.shape.size() != 1 || groups.shape[0] == 0) {
        return Refuse(*groups_, "not I32 with one group for each input");
      }
      shape_.columns = groups.shape[0];
      bits = words * 32 / shape_.columns;
    } else {
      if (zeros_) bits = ByteCount(table_.tensor(*zeros_)) * 8 / (shape_.groups * shape_.rows);
      if (IsGptqBits(bits)) shape_.columns = words * 32 / bits;
    }
    if (!IsGptqBits(bits) || shape_.columns * bits != words * 32) {
      return Refuse(codes_, "which is not inputs * bits / 32 words for 2, 3, 4 or 8 bits");
    }
    shape_.bits = static_cast<unsigned>(bits);
    return true;
  }

  bool CheckGroups() { return shape_.groups <= shape_.columns || RefuseScales(); }

  bool RefuseScales() {
    std::string rule = "not [groups, " + std::to_string(shape_.rows) + "]";
    if (shape_.columns > 0) {
      rule += " with at most " + std::to_string(shape_.columns) + " groups";
    }
    return Refuse(*scales_, std::move(rule));
  }

  bool CheckZeros() {
    if (!zeros_) return true;
    const TensorDesc zeros = table_.tensor(*zeros_);
    const uint64_t words = shape_.rows * shape_.bits / 32;
    if (shape_.rows * shape_.bits % 32 != 0) {
      return Refuse(*zeros_, "but the zero points of a group fill no whole words");
    }
    if (zeros.dtype == DType::kI32 && zeros.shape.size() == 2 && zeros.shape[0] == shape_.groups &&
        zeros.shape[1] == words) {
      return true;
    }
    return Refuse(*zeros_,
                  "not I32 [" + std::to_string(shape_.groups) + ", " + std::to_string(words) + "]");
  }

  const TensorTable& table_;
  Refusal& refusal_;
  size_t codes_;
  std::optional<size_t> scales_;
  std::optional<size_t> zeros_;
  std::optional<size_t> groups_;
  MatrixShape shape_;
};

}  // namespace

std::optional<std::string_view> ModuleOfGptq(const TensorDesc& tensor) {
  if (!tensor.name.ends_with(kCodesSuffix)) return std::nullopt;
  return tensor.name.substr(0, tensor.name.size() - kCodesSuffix.size());
}

std::unique_ptr<const QuantizedWeights> FindGptqWeights(size_t codes, const TensorTable& table,
                                                        Refusal* refusal) {
  return Finder(codes, table, refusal).Find();
}

}  // namespace qstore::scheme
