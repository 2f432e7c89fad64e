// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/status_macros.h"
#include "format/limits.h"
#include "scheme/checks.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/grid_params.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/listed.h"
#include "scheme/grid/predictor.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "grid codes";
constexpr size_t kWeights = 0;

// Whether scales, or zero points, come from the weights of a chunk.
bool TakesFromWeights(const GridParams& params) {
  const bool is_range = params.rounding().scale == ScaleKind::kRange;
  return !params.sides.has_scales || (is_range && !params.sides.has_zeros);
}

class BoundGridCodes final : public Bound {
 public:
  BoundGridCodes(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                 const GridParams& params)
      : Bound(child, parents),
        params_(params),
        weights_(parents[kWeights].dtype),
        per_elem_(CodesPerElem(params, child)) {}

  Take TakeOf(size_t parent) const override {
    return parent == kWeights ? Take::kChunk : Take::kWhole;
  }
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent != kWeights) return Whole(parent);
    const uint64_t bytes = per_elem_ * DTypeBits(weights_) / 8;
    return {at.first_elem * bytes, at.elem_count * bytes, 0, 1};
  }
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t codes = chunk_bytes / child().elem_bytes() * per_elem_;
    const Groups groups = params_.groups.Joined(child().elem_count() * per_elem_);
    const uint64_t rows = codes / groups.columns / groups.height + 2;
    const uint64_t of_rows = rows * groups.per_row();
    return PredictorBytes(codes, std::min(of_rows, codes / groups.width + 2 * groups.per_row()));
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    auto* own = scratch->Of<PredictorScratch>();
    own->predicted.resize(raw.size());
    Predict(at, parents, own, own->predicted);
    const uint64_t listed = EncodeListed(own->predicted, raw, child().elem_bytes(), out);
    return FitOfListed(listed, at.elem_count);
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    Predict(at, parents, scratch->Of<PredictorScratch>(), raw);
    return DecodeListed(payload, child().elem_bytes(), kRule, raw);
  }

 private:
  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, PredictorScratch* scratch,
               std::span<std::byte> out) const {
    Predictor predictor(params_, weights_, child().elem_count() * per_elem_, scratch);
    predictor.Codes({at.first_elem * per_elem_, at.elem_count * per_elem_}, parents[kWeights].bytes,
                    TakeSides(params_.sides, parents.subspan(1)), out);
  }

  GridParams params_;
  DType weights_;
  uint64_t per_elem_;
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
      const auto tensors = format->Find(part->module, own);
      const auto weights = FindIn(other, part->module, "weight");
      if (!tensors || !weights) continue;
      const TensorDesc high = other.tensor(*weights);
      if (ElementCount(high.shape) != tensors->elem_count) continue;
      for (const RoundingRule rule : tensors->rules) {
        if (!Applies(RoundingOf(rule), high.dtype)) continue;
        for (const bool has_scales : {false, true}) {
          if (has_scales && !tensors->scales) continue;
          edges->push_back(EdgeFrom(*weights, *tensors, rule, has_scales));
        }
      }
    }
  }

  // Codes of four bits have the chunks that the weights would have.
  std::optional<Packing> PackingOf(const TensorDesc& target, const TensorTable& own,
                                   std::span<const TensorTable* const> others,
                                   Level level) const override {
    for (const GridFormat* format : GridFormats()) {
      const auto part = format->PartOf(target.name);
      if (!part || part->part != GridPart::kCodes) continue;
      const auto tensors = format->Find(part->module, own);
      if (!tensors || RoundingOf(tensors->rules.front()).bits == 8) continue;
      const uint64_t per_elem =
          tensors->elem_count / std::max<uint64_t>(1, ElementCount(target.shape));
      const uint64_t chunk = ChooseChunkElems(RowOf(*tensors, part->module, others), level);
      if (per_elem == 0 || chunk % per_elem != 0) continue;
      return Packing{chunk / per_elem, 0, tensors->elem_count};
    }
    return std::nullopt;
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const GridParams params, ReadGridParams(bytes));
    QSTORE_TRY(CheckCounts(parents, 1 + params.sides.count(), bytes, bytes.size()));
    const ObjectSpec& weights = parents[kWeights];
    const uint64_t per_elem = CodesPerElem(params, child);
    if (child.elem_bytes() != 1 && child.elem_bytes() != 4) {
      return Corrupt("grid codes: elements are neither bytes nor words");
    }
    if (child.elem_count() > format::kMaxSize / per_elem ||
        child.elem_count() * per_elem != weights.elem_count()) {
      return Corrupt("grid codes: they are not as many as the weights");
    }
    QSTORE_TRY(CheckGridSides(params, weights.dtype, weights.elem_count(), parents.subspan(1)));
    const bool whole_groups = params.groups.AreRuns(weights.elem_count()) &&
                              child.chunk_elems * per_elem % params.groups.width == 0;
    if (TakesFromWeights(params) && !whole_groups) {
      return Corrupt("grid codes: chunks are not of whole groups");
    }
    return std::unique_ptr<const Bound>(new BoundGridCodes(child, parents, params));
  }

 private:
  // Elements of a row of the weights, which formats without rows do not tell.
  static uint64_t RowOf(const GridTensors& tensors, std::string_view module,
                        std::span<const TensorTable* const> others) {
    for (const TensorTable* table : others) {
      const auto weights = FindIn(*table, module, "weight");
      if (!weights) continue;
      const TensorDesc high = table->tensor(*weights);
      if (high.shape.size() < 2 || ElementCount(high.shape) != tensors.elem_count) continue;
      return tensors.elem_count / high.shape[0];
    }
    return tensors.groups.columns;
  }

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
