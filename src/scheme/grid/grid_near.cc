// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/status_macros.h"
#include "codec/kernels/round_kernels.h"
#include "codec/plane.h"
#include "scheme/checks.h"
#include "scheme/grid/grid_format.h"
#include "scheme/grid/grid_params.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/grid/near_weights.h"
#include "scheme/grid/side_bytes.h"

namespace qstore::scheme {
namespace {

// Parents; zero points are there if the rule has them.
enum Parent : size_t { kWeights, kScales, kZeros };

// Whether codes of that rule lie near those of the weights, counted in steps of equal size from a
// zero point.
bool HasSteps(const Rounding& rounding) {
  return rounding.grid == GridKind::kIntegers &&
         (rounding.scale == ScaleKind::kQuotient || rounding.scale == ScaleKind::kRange);
}

struct NearParams {
  GridParams grid;
  bool has_order = false;  // The last parent tells the group of each input.
};

std::vector<std::byte> WriteNearParams(const NearParams& params) {
  std::vector<std::byte> bytes = WriteGridParams(params.grid);
  bytes.push_back(static_cast<std::byte>(params.has_order ? 1 : 0));
  return bytes;
}

Result<NearParams> ReadNearParams(std::span<const std::byte> bytes) {
  if (bytes.empty() || bytes.back() > std::byte{1}) {
    return Corrupt("grid near: parameters out of range");
  }
  QSTORE_ASSIGN(const GridParams grid, ReadGridParams(bytes.first(bytes.size() - 1)));
  return NearParams{grid, bytes.back() == std::byte{1}};
}

struct GridNearScratch {
  NearWeights near;
  std::vector<uint32_t> group_of;
  std::vector<float> scales;  // Of a row's groups.
  std::vector<uint8_t> zeros;
  std::vector<uint8_t> codes;
};

class BoundGridNear final : public Bound {
 public:
  BoundGridNear(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                const NearParams& params)
      : Bound(child, parents), params_(params), dtype_(parents[kWeights].dtype) {}

  Take TakeOf(size_t parent) const override {
    return parent == kWeights ? Take::kChunk : Take::kWhole;
  }
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent != kWeights) return Whole(parent);
    const uint64_t size = child().elem_bytes();
    const uint64_t bytes = DTypeBits(dtype_) / 8;
    return {CountWeights(params_.grid, size, at.first_elem) * bytes,
            CountWeights(params_.grid, size, at.elem_count) * bytes, 0, 1};
  }
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t weights = chunk_bytes * 8 / params_.grid.rounding().bits;
    const uint64_t inputs = params_.grid.groups.columns;
    return NearBytes(weights, inputs, weights / inputs + 1) + 16 * inputs;
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    auto* own = scratch->Of<GridNearScratch>();
    if (!Fill(at, parents, own).ok()) return Fit::kNone;
    Unpack(raw, own->codes);
    EncodeNearCodes(&own->near, own->codes, out);
    return Fit::kMaybe;
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    auto* own = scratch->Of<GridNearScratch>();
    QSTORE_TRY(Fill(at, parents, own));
    QSTORE_TRY(DecodeNearCodes(&own->near, payload, own->codes));
    Pack(own->codes, raw);
    return {};
  }

 private:
  // What turns codes as they are stored to ones counted from the least.
  uint8_t Flip() const {
    if (params_.grid.layout == CodeLayout::kOffset) return 0;
    return params_.grid.rounding().bits == 8 ? 0x80 : 0x88;
  }
  void Unpack(std::span<const std::byte> raw, std::span<uint8_t> codes) const {
    const uint8_t flip = Flip();
    const bool is_byte = params_.grid.rounding().bits == 8;
    for (size_t i = 0; i < raw.size(); ++i) {
      const auto byte = static_cast<uint8_t>(static_cast<uint8_t>(raw[i]) ^ flip);
      if (is_byte) {
        codes[i] = byte;
      } else {
        codes[2 * i] = byte & 15;
        codes[2 * i + 1] = byte >> 4;
      }
    }
  }
  void Pack(std::span<const uint8_t> codes, std::span<std::byte> raw) const {
    const uint8_t flip = Flip();
    const bool is_byte = params_.grid.rounding().bits == 8;
    for (size_t i = 0; i < raw.size(); ++i) {
      const unsigned byte = is_byte ? codes[i] : codes[2 * i] | codes[2 * i + 1] << 4;
      raw[i] = static_cast<std::byte>(byte ^ flip);
    }
  }

  // Everything but the codes, by output.
  Status Fill(const ChunkAt& at, std::span<const ParentContent> parents,
              GridNearScratch* own) const {
    const Groups& groups = params_.grid.groups;
    const Rounding& rounding = params_.grid.rounding();
    const uint64_t first = CountWeights(params_.grid, child().elem_bytes(), at.first_elem);
    NearWeights& near = own->near;
    near.inputs = groups.columns;
    near.outputs = CountWeights(params_.grid, child().elem_bytes(), at.elem_count) / near.inputs;
    near.by_input = false;
    near.scales_dtype = dtype_;
    near.bits = rounding.bits;
    near.Resize();
    own->codes.resize(near.count());
    const auto* patterns = reinterpret_cast<const uint8_t*>(parents[kWeights].bytes.data());
    const codec::RoundKernels& kernels = codec::ActiveRounding();
    (dtype_ == DType::kBF16 ? kernels.widen_bf16 : kernels.widen_fp16)(patterns, near.count(),
                                                                       near.values.data());
    QSTORE_TRY(FindGroups(parents, own));
    const FactorTable table(rounding, dtype_, 1);
    for (uint64_t o = 0; o < near.outputs; ++o) {
      FillGroups(parents, table, (first / groups.columns + o) / groups.height * groups.per_row(),
                 own);
      float* scales = near.scales.data() + o * near.inputs;
      uint8_t* zeros = near.zeros.data() + o * near.inputs;
      for (uint64_t i = 0; i < near.inputs; ++i) {
        scales[i] = own->scales[own->group_of[i]];
        zeros[i] = own->zeros[own->group_of[i]];
      }
    }
    return {};
  }

  // The group of each input, among those of a row.
  Status FindGroups(std::span<const ParentContent> parents, GridNearScratch* own) const {
    const Groups& groups = params_.grid.groups;
    own->group_of.resize(groups.columns);
    for (uint64_t i = 0; i < groups.columns; ++i) {
      uint64_t group = i / groups.width;
      if (params_.has_order) {
        const auto listed = base::LoadLe<uint32_t>(parents.back().bytes.data() + 4 * i);
        if (listed != UINT32_MAX) group = listed;
      }
      if (group >= groups.per_row()) return Corrupt("grid near: an input's group does not exist");
      own->group_of[i] = static_cast<uint32_t>(group);
    }
    return {};
  }

  void FillGroups(std::span<const ParentContent> parents, const FactorTable& table, uint64_t first,
                  GridNearScratch* own) const {
    const Groups& groups = params_.grid.groups;
    const uint64_t count = groups.per_row();
    own->scales.resize(count);
    own->zeros.assign(count, static_cast<uint8_t>(-params_.grid.rounding().low));
    for (uint64_t g = 0; g < count; ++g) {
      own->scales[g] = table.Of(LoadPattern(dtype_, parents[kScales].bytes, first + g));
      if (!params_.grid.sides.has_zeros) continue;
      own->zeros[g] = static_cast<uint8_t>(
          LoadZero(params_.grid.rounding(), groups, parents[kZeros].bytes, first + g));
    }
  }

  NearParams params_;
  DType dtype_;
};

// Parents: the weights; then scales, zero points and the groups of inputs, as the parameters say.
class GridNearScheme final : public Scheme {
 public:
  SchemeId id() const override { return 12; }
  std::string_view name() const override { return "grid-near"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    for (const GridFormat* format : GridFormats()) {
      const auto part = format->PartOf(target.name);
      if (!part || part->part != GridPart::kCodes) continue;
      const auto weights = FindIn(other, part->module, "weight");
      if (!weights || !Is16Bit(other.tensor(*weights).dtype)) continue;
      for (const auto& [tensors, rule] :
           ReadingsFor(*format, part->module, own, other.tensor(*weights))) {
        const Rounding& rounding = RoundingOf(rule);
        if (!HasSteps(rounding) || !tensors.scales) continue;
        if (HasZeros(rounding) != tensors.zeros.has_value()) continue;
        if (HasZeros(rounding) && tensors.groups.height != 1) continue;
        edges->push_back(EdgeFrom(*weights, tensors, rule));
        break;  // Rules differ in what follows here from what is stored beside the codes.
      }
    }
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const NearParams params, ReadNearParams(bytes));
    const GridParams& grid = params.grid;
    const size_t sides = grid.sides.count();
    QSTORE_TRY(CheckCounts(parents, 1 + sides + (params.has_order ? 1 : 0), bytes, bytes.size()));
    const ObjectSpec& weights = parents[kWeights];
    if (!Is16Bit(weights.dtype) || !HasSteps(grid.rounding()) || !grid.sides.has_scales ||
        grid.sides.has_zeros != HasZeros(grid.rounding()) ||
        grid.layout == CodeLayout::kHighFirst || grid.rounding().low >= 0) {
      return Corrupt("grid near: the rule is not for such codes");
    }
    if (!AreCodesOf(grid, child, weights.elem_count())) {
      return Corrupt("grid near: codes are not one for each weight, in bytes or words");
    }
    QSTORE_TRY(
        CheckGridSides(grid, weights.dtype, weights.elem_count(), parents.subspan(1, sides)));
    if (CountWeights(grid, child.elem_bytes(), child.chunk_elems) % grid.groups.columns != 0) {
      return Corrupt("grid near: chunks are not of whole rows");
    }
    if (params.has_order) {
      QSTORE_TRY(CheckSmall(parents.back()));
      if (parents.back().byte_size != 4 * grid.groups.columns) {
        return Corrupt("grid near: groups are not one I32 for each input");
      }
    }
    return std::unique_ptr<const Bound>(new BoundGridNear(child, parents, params));
  }

 private:
  Edge EdgeFrom(size_t weights, const GridTensors& tensors, RoundingRule rule) const {
    NearParams params{{rule, tensors.layout, {true, tensors.zeros.has_value()}, tensors.groups},
                      tensors.order.has_value()};
    Edge edge{this, {}, {{false, weights}, {true, *tensors.scales}}};
    if (tensors.zeros) edge.parents.push_back({true, *tensors.zeros});
    if (tensors.order) edge.parents.push_back({true, *tensors.order});
    edge.params = WriteNearParams(params);
    return edge;
  }
};

}  // namespace

const Scheme& GridNear() {
  static const GridNearScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
