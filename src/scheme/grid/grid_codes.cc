// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "base/status_macros.h"
#include "format/limits.h"
#include "scheme/checks.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/grid_params.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/predicted_bound.h"
#include "scheme/grid/predictor.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "grid codes";
constexpr size_t kWeights = 0;

// Whether scales, or zero points, come from the weights of a chunk.
bool TakesFromWeights(const GridParams& params) {
  return !params.sides.has_scales || (HasZeros(params.rounding()) && !params.sides.has_zeros);
}

class BoundGridCodes final : public PredictedBound {
 public:
  BoundGridCodes(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                 const GridParams& params)
      : PredictedBound(child, parents, kRule),
        params_(params),
        weights_(parents[kWeights].dtype),
        elem_count_(parents[kWeights].elem_count()) {}

  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t codes = chunk_bytes * 8 / params_.rounding().bits;
    const Groups groups = params_.groups.Joined(elem_count_);
    const uint64_t rows = codes / groups.columns / groups.height + 2;
    const uint64_t of_rows = rows * groups.per_row();
    return PredictorBytes(codes, std::min(of_rows, codes / groups.width + 2 * groups.per_row()));
  }

 private:
  Region NeedOfFirst(const ChunkAt& at) const override {
    const GroupRange range = RangeOf(at);
    const uint64_t bytes = DTypeBits(weights_) / 8;
    return {range.first_elem * bytes, range.elem_count * bytes, 0, 1};
  }
  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch* scratch,
               std::span<std::byte> out) const override {
    Predictor predictor(params_, weights_, elem_count_, scratch->Of<PredictorScratch>());
    predictor.Codes(RangeOf(at), parents[kWeights].bytes,
                    TakeSides(params_.sides, parents.subspan(1)), out);
  }

  GroupRange RangeOf(const ChunkAt& at) const {
    const uint64_t size = child().elem_bytes();
    return {CountWeights(params_, size, at.first_elem), CountWeights(params_, size, at.elem_count)};
  }

  GridParams params_;
  DType weights_;
  uint64_t elem_count_;
};

// Parents: the weights; then scales, zero points and the global scale of the codes themselves, as
// the parameters say.
class GridCodesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 5; }
  std::string_view name() const override { return "grid-codes"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    for (const GridFormat* format : GridFormats()) {
      const auto part = format->PartOf(target.name);
      if (!part || part->part != GridPart::kCodes) continue;
      const auto weights = FindIn(other, part->module, "weight");
      if (!weights) continue;
      for (const auto& [tensors, rule] :
           ReadingsFor(*format, part->module, own, other.tensor(*weights))) {
        edges->push_back(EdgeFrom(*weights, tensors, rule, false));
        // Biases go with scales that have not been rounded.
        const bool is_affine = RoundingOf(rule).scale == ScaleKind::kAffine;
        if (tensors.scales && !is_affine) {
          edges->push_back(EdgeFrom(*weights, tensors, rule, true));
        }
      }
    }
  }

  // Where codes share elements, these have the chunks that the weights would have.
  std::optional<Packing> PackingOf(const TensorDesc& target, const TensorTable& own,
                                   std::span<const TensorTable* const> others,
                                   Level level) const override {
    const uint64_t elem_bits = DTypeBits(target.dtype);
    for (const GridFormat* format : GridFormats()) {
      const auto part = format->PartOf(target.name);
      if (!part || part->part != GridPart::kCodes || elem_bits < 8) continue;
      for (const TensorTable* other : others) {
        const auto weights = FindIn(*other, part->module, "weight");
        if (!weights) continue;
        const TensorDesc high = other->tensor(*weights);
        const auto readings = ReadingsFor(*format, part->module, own, high);
        if (readings.empty() || high.shape.size() < 2) continue;
        const unsigned bits = RoundingOf(readings[0].rule).bits;
        const uint64_t count = readings[0].tensors.elem_count;
        const uint64_t chunk = ChooseChunkElems(count / high.shape[0], level) * bits;
        // No rule has codes of no bits. NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
        if (bits == elem_bits || chunk % std::lcm<uint64_t>(bits, elem_bits) != 0) continue;
        return Packing{chunk / elem_bits, 0, count};
      }
    }
    return std::nullopt;
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const GridParams params, ReadGridParams(bytes));
    QSTORE_TRY(CheckCounts(parents, 1 + params.sides.count(), bytes, bytes.size()));
    const ObjectSpec& weights = parents[kWeights];
    if (!AreCodesOf(params, child, weights.elem_count())) {
      return Corrupt("grid codes: they are not one for each weight, in bytes or words");
    }
    QSTORE_TRY(CheckGridSides(params, weights.dtype, weights.elem_count(), parents.subspan(1)));
    const bool whole_groups =
        params.groups.AreRuns(weights.elem_count()) &&
        CountWeights(params, child.elem_bytes(), child.chunk_elems) % params.groups.width == 0;
    if (TakesFromWeights(params) && !whole_groups) {
      return Corrupt("grid codes: chunks are not of whole groups");
    }
    return std::unique_ptr<const Bound>(new BoundGridCodes(child, parents, params));
  }

 private:
  Edge EdgeFrom(size_t weights, const GridTensors& tensors, RoundingRule rule,
                bool has_scales) const {
    GridParams params{rule, tensors.layout, {}, tensors.groups};
    Edge edge{this, {}, {{false, weights}}};
    const auto add = [&](const std::optional<size_t>& side) {
      if (side) edge.parents.push_back({true, *side});
      return side.has_value();
    };
    if (has_scales) params.sides.has_scales = add(tensors.scales);
    if (has_scales) params.sides.has_zeros = add(tensors.zeros);
    params.sides.has_global = add(tensors.global);
    edge.params = WriteGridParams(params);
    return edge;
  }
};

}  // namespace

const Scheme& GridCodes() {
  static const GridCodesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
