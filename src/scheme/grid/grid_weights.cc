// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/grid/bins_coder.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/grid_params.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/predictor.h"
#include "scheme/grid/rounding_grid.h"

namespace qstore::scheme {
namespace {

constexpr size_t kCodes = 0;

// LLM.int8() has a scheme of its own.
bool HasBins(const GridParams& params) {
  const Rounding& rounding = params.rounding();
  return rounding.bits == 8 && !rounding.through_fp16 && !HasZeros(rounding) &&
         params.layout == CodeLayout::kPlain;
}

// Of codes that are sign and magnitude. In bytes throughout, so that the loop is vectorized.
void ToTwosComplement(const uint8_t* codes, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const auto sign = static_cast<uint8_t>(static_cast<int8_t>(codes[i]) >> 7);
    out[i] = static_cast<uint8_t>(((codes[i] & 0x7f) ^ sign) - sign);
  }
}

class BoundGridWeights final : public Bound {
 public:
  BoundGridWeights(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                   const GridParams& params)
      : Bound(child, parents),
        params_(params),
        groups_(params.groups.Joined(child.elem_count())),
        grid_(params.rounding()) {}

  Take TakeOf(size_t parent) const override {
    return parent == kCodes ? Take::kChunk : Take::kWhole;
  }
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    return parent == kCodes ? Region{at.first_elem, at.elem_count, 0, 1} : Whole(parent);
  }
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t elems = chunk_bytes / child().elem_bytes();
    return elems + (elems / RunElems() + 2) * sizeof(float) + kKnownBytes;
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    auto* own = scratch->Of<BinsScratch>();
    const size_t listed =
        EncodeBins(child().dtype, effort, CodesOf(at, parents, own), raw, own, out);
    return FitOfListed(listed, at.elem_count);
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    auto* own = scratch->Of<BinsScratch>();
    return DecodeBins(child().dtype, CodesOf(at, parents, own), payload, own, raw);
  }

 private:
  static constexpr uint64_t kKnownBytes = uint64_t{1} << 16;

  // Bins take runs of one scale of equal length.
  uint64_t RunElems() const { return groups_.width; }

  // As signed bytes, and the factors of runs from the first element's on.
  struct Codes CodesOf(const ChunkAt& at, std::span<const ParentContent> parents,
                       BinsScratch* scratch) const {
    const uint64_t run = RunElems();
    const uint64_t first = at.first_elem / run;
    const uint64_t end = (at.first_elem + at.elem_count + run - 1) / run;
    const auto sides = TakeSides(params_.sides, parents.subspan(1));
    scratch->scales.resize(end - first);
    for (uint64_t r = first; r < end; ++r) {
      scratch->scales[r - first] =
          StoredFactor(params_.rounding(), child().dtype, sides, groups_.Of(r * run));
    }
    std::span<const std::byte> q = parents[kCodes].bytes;
    if (params_.rounding().grid == GridKind::kE4m3) {
      scratch->q.resize(q.size());
      ToTwosComplement(reinterpret_cast<const uint8_t*>(q.data()), q.size(),
                       reinterpret_cast<uint8_t*>(scratch->q.data()));
      q = scratch->q;
    }
    return {grid_, {at.first_elem - first * run, run}, q, scratch->scales};
  }

  GridParams params_;
  Groups groups_;
  RoundingGrid grid_;
};

// Parents: the codes; then their scales, and the global scale where the rule has one.
class GridWeightsScheme final : public Scheme {
 public:
  SchemeId id() const override { return 7; }
  std::string_view name() const override { return "grid-weights"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto module = ModuleOf(target.name, "weight");
    if (!module || !codec::IsCodedFloat(target.dtype)) return;
    for (const GridFormat* format : GridFormats()) {
      for (const auto& [tensors, rule] : ReadingsFor(*format, *module, other, target)) {
        const GridParams params{rule, tensors.layout, {true, false, false}, tensors.groups};
        if (!tensors.scales || !HasBins(params)) continue;
        edges->push_back(
            {this, WriteGridParams(params), {{false, tensors.codes}, {false, *tensors.scales}}});
      }
    }
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const GridParams params, ReadGridParams(bytes));
    QSTORE_TRY(CheckCounts(parents, 1 + params.sides.count(), bytes, bytes.size()));
    if (!HasBins(params) || !params.sides.has_scales || params.sides.has_zeros) {
      return Corrupt("grid weights: parameters are none of weights");
    }
    if (!codec::IsCodedFloat(child.dtype)) return Corrupt("grid weights: it is no coded float");
    if (parents[kCodes].elem_bytes() != 1 || parents[kCodes].elem_count() != child.elem_count()) {
      return Corrupt("grid weights: its codes are not one byte for each element");
    }
    QSTORE_TRY(CheckGridSides(params, child.dtype, child.elem_count(), parents.subspan(1)));
    const Groups& groups = params.groups;
    if (groups.columns % groups.width != 0) {
      return Corrupt("grid weights: groups do not fill the rows");
    }
    return std::unique_ptr<const Bound>(new BoundGridWeights(child, parents, params));
  }
};

}  // namespace

const Scheme& GridWeights() {
  static const GridWeightsScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
