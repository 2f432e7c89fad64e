// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/grid_params.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/predicted_bound.h"
#include "scheme/grid/predictor.h"
#include "scheme/grid/side_bytes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "grid scales";
constexpr size_t kWeights = 0;

// The child is the side that the parameters name, which is none of the parents.
class BoundGridScales final : public PredictedBound {
 public:
  BoundGridScales(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                  const GridParams& params)
      : PredictedBound(child, parents, kRule),
        params_(params),
        weights_(parents[kWeights].dtype),
        elem_count_(parents[kWeights].elem_count()) {}

  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t groups = chunk_bytes / child().elem_bytes() * Rows();
    return PredictorBytes(0, groups);
  }

 private:
  Region NeedOfFirst(const ChunkAt& at) const override {
    const GroupRange range = WeightsOf(at);
    const uint64_t bytes = DTypeBits(weights_) / 8;
    return {range.first_elem * bytes, range.elem_count * bytes, 0, 1};
  }
  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch* scratch,
               std::span<std::byte> out) const override {
    Predictor predictor(params_, weights_, elem_count_, scratch->Of<PredictorScratch>());
    if (IsZeros()) return predictor.Zeros(WeightsOf(at), parents[kWeights].bytes, out);
    SidesOf<ParentContent> sides;
    if (params_.sides.has_global) sides.global = &parents[1];
    predictor.Scales(WeightsOf(at), parents[kWeights].bytes, sides, out);
  }

  bool IsZeros() const { return params_.sides.has_zeros; }
  // Whose zero points share an element.
  uint64_t Rows() const { return IsZeros() && !IsBias() ? ZeroRows(params_.rounding()) : 1; }
  bool IsBias() const { return params_.rounding().scale == ScaleKind::kAffine; }

  GroupRange WeightsOf(const ChunkAt& at) const {
    const Groups& groups = params_.groups;
    if (Rows() > 1) {
      const uint64_t rows = at.first_elem / groups.per_row() * Rows();
      const uint64_t count = at.elem_count / groups.per_row() * Rows();
      return {rows * groups.columns, count * groups.columns};
    }
    return groups.RunsOf(at.first_elem, at.elem_count, elem_count_);
  }

  GridParams params_;
  DType weights_;
  uint64_t elem_count_;
};

// Parents: the weights, and the global scale where the rule has one. The parameters name the child
// among the sides.
class GridScalesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 6; }
  std::string_view name() const override { return "grid-scales"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    for (const GridFormat* format : GridFormats()) {
      const auto part = format->PartOf(target.name);
      if (!part || part->part == GridPart::kCodes) continue;
      const auto weights = FindIn(other, part->module, "weight");
      if (!weights) continue;
      const bool is_zeros = part->part == GridPart::kZeros;
      for (const auto& [tensors, rule] :
           ReadingsFor(*format, part->module, own, other.tensor(*weights))) {
        if (is_zeros ? !tensors.zeros : !tensors.scales) continue;
        GridParams params{rule, CodeLayout::kPlain, {}, tensors.groups};
        params.sides = {!is_zeros, is_zeros, tensors.global.has_value()};
        Edge edge{this, WriteGridParams(params), {{false, *weights}}};
        if (tensors.global) edge.parents.push_back({true, *tensors.global});
        edge.follows_chunks = true;
        edges->push_back(std::move(edge));
      }
    }
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const GridParams params, ReadGridParams(bytes));
    if (params.sides.has_scales == params.sides.has_zeros) {
      return Corrupt("grid scales: they are either scales or zero points");
    }
    QSTORE_TRY(CheckCounts(parents, params.sides.has_global ? 2 : 1, bytes, bytes.size()));
    const ObjectSpec& weights = parents[kWeights];
    std::vector<ObjectSpec> sides = {child};
    if (params.sides.has_global) sides.push_back(parents[1]);
    QSTORE_TRY(CheckGridSides(params, weights.dtype, weights.elem_count(), sides));
    if (!params.groups.AreRuns(weights.elem_count())) {
      return Corrupt("grid scales: groups are not runs of weights");
    }
    const Rounding& rounding = params.rounding();
    const bool are_zeros = params.sides.has_zeros && rounding.scale == ScaleKind::kRange;
    const uint64_t bytes_each =
        are_zeros ? ZeroBytes(rounding) : DTypeBits(ScaleType(rounding, weights.dtype)) / 8;
    const bool share = are_zeros && ZeroRows(rounding) > 1;
    const bool whole_rows = !share || child.chunk_elems % params.groups.per_row() == 0;
    if (child.elem_bytes() != bytes_each || !whole_rows) {
      return Corrupt("grid scales: elements or chunks are cut");
    }
    return std::unique_ptr<const Bound>(new BoundGridScales(child, parents, params));
  }
};

}  // namespace

const Scheme& GridScales() {
  static const GridScalesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
