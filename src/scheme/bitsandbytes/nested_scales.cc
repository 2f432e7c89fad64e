// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/nested_scales.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "format/limits.h"
#include "scheme/bitsandbytes/bitsandbytes.h"
#include "scheme/checks.h"
#include "scheme/grid/predicted_bound.h"
#include "scheme/grid/predictor.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "nested scales";
constexpr uint64_t kCodes = 256;
constexpr uint64_t kMaxBlock = 4096;
constexpr uint64_t kNestedBlock = 256;
constexpr uint64_t kMaxStateBytes = 4096;

enum Parent : size_t { kWeights, kOuterScales, kMap, kState, kParentCount };

float FloatAt(std::span<const std::byte> bytes, uint64_t i) {
  return std::bit_cast<float>(base::LoadLe<uint32_t>(bytes.data() + 4 * i));
}

// The number behind the offset's name in a JSON text.
std::optional<float> OffsetIn(std::span<const std::byte> state) {
  constexpr std::string_view kName = "\"nested_offset\":";
  const std::string_view text(reinterpret_cast<const char*>(state.data()), state.size());
  const size_t name = text.find(kName);
  if (name == std::string_view::npos) return std::nullopt;
  const size_t begin = text.find_first_not_of(' ', name + kName.size());
  if (begin == std::string_view::npos) return std::nullopt;
  const size_t digit = begin + (text[begin] == '-' ? 1 : 0);
  if (digit == text.size() || text[digit] < '0' || text[digit] > '9') return std::nullopt;
  double number = 0;
  const auto read = std::from_chars(text.data() + begin, text.data() + text.size(), number);
  if (read.ec != std::errc() || !(std::fabs(number) <= 0x1p100)) return std::nullopt;
  const auto offset = static_cast<float>(number);
  return IsUsable(std::fabs(offset)) ? std::optional(offset) : std::nullopt;
}

// Between the numbers of a map; nothing when they are not in order.
using Steps = std::array<float, kCodes - 1>;
std::optional<Steps> StepsOf(std::span<const std::byte> map) {
  Steps steps;
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i] = (FloatAt(map, i) + FloatAt(map, i + 1)) / 2.0f;
    if (std::isnan(steps[i]) || (i > 0 && steps[i] < steps[i - 1])) return std::nullopt;
  }
  return steps;
}

struct NestedScratch {
  PredictorScratch predictor;
  std::vector<std::byte> absmax;
};

struct NestedParams {
  uint64_t block = 0;  // Weights with one scale.
  uint64_t outer = 0;  // Scales with one outer scale.
};

std::vector<std::byte> WriteParams(const NestedParams& params) {
  std::vector<std::byte> bytes;
  base::ByteWriter writer(&bytes);
  writer.Varint(params.block);
  writer.Varint(params.outer);
  return bytes;
}

Result<NestedParams> ReadParams(std::span<const std::byte> bytes) {
  base::ByteReader reader(bytes);
  NestedParams params;
  params.block = reader.Varint();
  params.outer = reader.Varint();
  const auto is_possible = [](uint64_t number) { return number > 0 && number <= kMaxBlock; };
  if (!reader.ok() || reader.remaining() != 0 || !is_possible(params.block) ||
      !is_possible(params.outer)) {
    return Corrupt("nested scales: parameters out of range");
  }
  return params;
}

class BoundNestedScales final : public PredictedBound {
 public:
  BoundNestedScales(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                    const NestedParams& params)
      : PredictedBound(child, parents, kRule),
        params_(params),
        groups_{1, params.block, parents[kWeights].elem_count()},
        weights_(parents[kWeights].dtype),
        elem_count_(parents[kWeights].elem_count()) {}

  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    return PredictorBytes(0, chunk_bytes) + chunk_bytes * 5;
  }

 private:
  GroupRange WeightsOf(const ChunkAt& at) const {
    return groups_.RunsOf(at.first_elem, at.elem_count, elem_count_);
  }
  Region NeedOfFirst(const ChunkAt& at) const override {
    const GroupRange range = WeightsOf(at);
    const uint64_t bytes = DTypeBits(weights_) / 8;
    return {range.first_elem * bytes, range.elem_count * bytes, 0, 1};
  }

  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch* scratch,
               std::span<std::byte> out) const override {
    const auto offset = OffsetIn(parents[kState].bytes);
    const auto steps = StepsOf(parents[kMap].bytes);
    std::fill(out.begin(), out.end(), std::byte{0});
    if (!offset || !steps) return;
    auto* own = scratch->Of<NestedScratch>();
    const GridParams grid{RoundingRule::kNf4, CodeLayout::kPlain, {}, groups_};
    Predictor predictor(grid, weights_, elem_count_, &own->predictor);
    own->absmax.resize(4 * out.size());
    predictor.Scales(WeightsOf(at), parents[kWeights].bytes, {}, own->absmax);
    for (size_t i = 0; i < out.size(); ++i) {
      const uint64_t outer = (at.first_elem + i) / params_.outer;
      const float scale = FloatAt(parents[kOuterScales].bytes, outer);
      if (!IsUsable(std::fabs(scale))) continue;
      const float number = (FloatAt(own->absmax, i) - *offset) * (1.0f / scale);
      if (std::isnan(number)) continue;
      const auto above = std::lower_bound(steps->begin(), steps->end(), number);
      out[i] = static_cast<std::byte>(above - steps->begin());
    }
  }

  NestedParams params_;
  Groups groups_;  // One long row.
  DType weights_;
  uint64_t elem_count_;
};

// Parents: the weights; F32 outer scales, the 256 F32 numbers of the map, and the state.
class NestedScalesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 9; }
  std::string_view name() const override { return "nested-scales"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const GridFormat& format = BitsandbytesFourBits();
    const auto part = format.PartOf(target.name);
    if (!part || part->part != GridPart::kScales || target.dtype != DType::kU8) return;
    const auto found = format.Find(part->module, own);
    const auto weights = FindIn(other, part->module, "weight");
    const auto outer = FindIn(own, part->module, "weight.nested_absmax");
    const auto map = FindIn(own, part->module, "weight.nested_quant_map");
    if (found.empty() || !found[0].state || !weights || !outer || !map) return;
    const TensorDesc high = other.tensor(*weights);
    if (ElementCount(high.shape) != found[0].elem_count) return;
    const NestedParams params{found[0].groups.width, kNestedBlock};
    Edge edge{this, WriteParams(params), {{false, *weights}}};
    for (const size_t each : {*outer, *map, *found[0].state}) edge.parents.push_back({true, each});
    edge.follows_chunks = true;
    edges->push_back(std::move(edge));
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const NestedParams params, ReadParams(bytes));
    QSTORE_TRY(CheckCounts(parents, kParentCount, bytes, bytes.size()));
    for (const ObjectSpec& side : parents.subspan(1)) QSTORE_TRY(CheckSmall(side));
    const ObjectSpec& weights = parents[kWeights];
    if (!Applies(RoundingOf(RoundingRule::kNf4), weights.dtype)) {
      return Corrupt("nested scales: weights are no floats");
    }
    const auto blocks = [](uint64_t count, uint64_t size) { return (count + size - 1) / size; };
    if (child.elem_bytes() != 1 ||
        child.elem_count() != blocks(weights.elem_count(), params.block)) {
      return Corrupt("nested scales: they are not one byte for each block of weights");
    }
    if (parents[kOuterScales].byte_size != 4 * blocks(child.elem_count(), params.outer) ||
        parents[kMap].byte_size != 4 * kCodes || parents[kState].byte_size > kMaxStateBytes) {
      return Corrupt("nested scales: outer scales, their map or the state have another size");
    }
    return std::unique_ptr<const Bound>(new BoundNestedScales(child, parents, params));
  }
};

}  // namespace

const Scheme& NestedScales() {
  static const NestedScalesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
