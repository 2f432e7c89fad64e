// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/grid_params.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/predicted_bound.h"
#include "scheme/grid/predictor.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "grid values";
constexpr size_t kCodes = 0;

class BoundGridValues final : public PredictedBound {
 public:
  BoundGridValues(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                  const GridParams& params)
      : PredictedBound(child, parents, kRule),
        params_(params),
        code_bytes_(parents[kCodes].elem_bytes()),
        bits_(params.rounding().bits) {}

  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    return PredictorBytes(chunk_bytes / child().elem_bytes(), 0);
  }

 private:
  Region NeedOfFirst(const ChunkAt& at) const override {
    return {at.first_elem * bits_ / 8, at.elem_count * bits_ / 8, 0, 1};
  }
  bool CanCut(const ChunkAt& at) const override {
    const uint64_t elem_bits = 8 * code_bytes_;
    return at.first_elem * bits_ % elem_bits == 0 && at.elem_count * bits_ % elem_bits == 0;
  }
  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch* scratch,
               std::span<std::byte> out) const override {
    Predictor predictor(params_, child().dtype, child().elem_count(),
                        scratch->Of<PredictorScratch>());
    predictor.Values({at.first_elem, at.elem_count}, parents[kCodes].bytes,
                     TakeSides(params_.sides, parents.subspan(1)), out);
  }

  GridParams params_;
  uint64_t code_bytes_;
  uint64_t bits_;
};

// Parents: the codes; then their scales, and the global scale where the rule has one.
class GridValuesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 8; }
  std::string_view name() const override { return "grid-values"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto module = ModuleOf(target.name, "weight");
    if (!module || !codec::IsCodedFloat(target.dtype)) return;
    for (const GridFormat* format : GridFormats()) {
      for (const auto& [tensors, rule] : ReadingsFor(*format, *module, other, target)) {
        GridParams params{rule, tensors.layout, {}, tensors.groups};
        if (!tensors.scales || !HasValues(params.rounding())) continue;
        Edge edge{this, {}, {{false, tensors.codes}, {false, *tensors.scales}}};
        params.sides.has_scales = true;
        params.sides.has_global = tensors.global.has_value();
        if (tensors.global) edge.parents.push_back({false, *tensors.global});
        edge.params = WriteGridParams(params);
        edges->push_back(std::move(edge));
        break;  // Rules of one format differ in how they round, not in what codes stand for.
      }
    }
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const GridParams params, ReadGridParams(bytes));
    QSTORE_TRY(CheckCounts(parents, 1 + params.sides.count(), bytes, bytes.size()));
    if (!HasValues(params.rounding()) || !params.sides.has_scales || params.sides.has_zeros) {
      return Corrupt("grid values: parameters are none of values");
    }
    if (!codec::IsCodedFloat(child.dtype)) return Corrupt("grid values: it is no coded float");
    const ObjectSpec& codes = parents[kCodes];
    if (!AreCodesOf(params, codes, child.elem_count()) ||
        child.chunk_elems * params.rounding().bits % (8 * codes.elem_bytes()) != 0) {
      return Corrupt("grid values: its codes are not one for each element");
    }
    QSTORE_TRY(CheckGridSides(params, child.dtype, child.elem_count(), parents.subspan(1)));
    return std::unique_ptr<const Bound>(new BoundGridValues(child, parents, params));
  }

 private:
  // A number times the scale; LLM.int8() and biases have more steps.
  static bool HasValues(const Rounding& rounding) {
    return rounding.scale != ScaleKind::kAbsmaxTimes &&
           rounding.scale != ScaleKind::kAbsmaxQuotient && rounding.bits >= 4 &&
           !HasZeros(rounding);
  }
};

}  // namespace

const Scheme& GridValues() {
  static const GridValuesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
