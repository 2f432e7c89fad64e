// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "base/status_macros.h"
#include "scheme/awq/awq.h"
#include "scheme/awq/awq_tensor.h"
#include "scheme/checks.h"
#include "scheme/grid/near_weights.h"
#include "scheme/grid/rounding.h"
#include "scheme/grid/side_bytes.h"
#include "scheme/grid/turn.h"

namespace qstore::scheme {
namespace {

enum Parent : size_t { kWeights, kScales, kZeros, kParentCount };

struct AwqScratch {
  NearWeights near;
  std::vector<std::byte> columns;
  std::vector<uint8_t> codes;
};

class BoundAwqCodes final : public Bound {
 public:
  BoundAwqCodes(const ObjectSpec& child, std::span<const ObjectSpec> parents, const AwqShape& shape,
                DType scales_dtype)
      : Bound(child, parents),
        shape_(shape),
        dtype_(parents[kWeights].dtype),
        scales_dtype_(scales_dtype) {}

  Take TakeOf(size_t) const override { return Take::kWhole; }
  // Of the weights those of the chunk's inputs, which are columns.
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent != kWeights) return Whole(parent);
    const uint64_t size = DTypeBits(dtype_) / 8;
    return {FirstInput(at) * size, Inputs(at) * size, shape_.inputs * size, shape_.outputs};
  }
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t weights = chunk_bytes * 8 / kAwqBits;
    return NearBytes(weights, weights / shape_.outputs + 1, shape_.outputs) + 2 * weights;
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    auto* own = scratch->Of<AwqScratch>();
    Fill(at, parents, own);
    UnpackAwq(raw.data(), raw.size() / 4, own->codes.data());
    EncodeNearCodes(&own->near, own->codes, out);
    return Fit::kMaybe;
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    auto* own = scratch->Of<AwqScratch>();
    Fill(at, parents, own);
    QSTORE_TRY(DecodeNearCodes(&own->near, payload, own->codes));
    PackAwq(own->codes.data(), raw.size() / 4, raw.data());
    return {};
  }

 private:
  uint64_t FirstInput(const ChunkAt& at) const { return at.first_elem / shape_.row_words(); }
  uint64_t Inputs(const ChunkAt& at) const { return at.elem_count / shape_.row_words(); }

  // Everything but the codes, by input.
  void Fill(const ChunkAt& at, std::span<const ParentContent> parents, AwqScratch* own) const {
    NearWeights& near = own->near;
    near.inputs = Inputs(at);
    near.outputs = shape_.outputs;
    near.by_input = true;
    near.scales_dtype = scales_dtype_;
    near.bits = kAwqBits;
    near.Resize();
    own->codes.resize(near.count());
    const std::span<const std::byte> columns =
        GatherRuns(parents[kWeights], NeedOf(kWeights, at), &own->columns);
    TurnColumns(dtype_, columns, near.outputs, near.inputs, near.values.data());
    uint64_t known = UINT64_MAX;
    for (uint64_t i = 0; i < near.inputs; ++i) {
      float* scales = near.scales.data() + i * near.outputs;
      uint8_t* zeros = near.zeros.data() + i * near.outputs;
      const uint64_t group = (FirstInput(at) + i) / shape_.group_inputs();
      if (group == known) {
        std::copy_n(scales - near.outputs, near.outputs, scales);
        std::copy_n(zeros - near.outputs, near.outputs, zeros);
        continue;
      }
      known = group;
      for (uint64_t o = 0; o < near.outputs; ++o) {
        const uint32_t pattern =
            LoadPattern(scales_dtype_, parents[kScales].bytes, group * near.outputs + o);
        const float scale = NumberOf(scales_dtype_, pattern);
        scales[o] = IsUsable(std::fabs(scale)) ? scale : 0.0f;
      }
      UnpackAwq(parents[kZeros].bytes.data() + group * near.outputs / 2, shape_.row_words(), zeros);
    }
  }

  AwqShape shape_;
  DType dtype_;
  DType scales_dtype_;
};

// Parents: the 16-bit weights; then scales and zero points of the child itself. Parameters: the
// type of the scales.
class AwqCodesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 11; }
  std::string_view name() const override { return "awq-codes"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto parts = PartsOf(target, own);
    if (!parts) return;
    const auto weights = FindIn(other, *ModuleOf(target.name, "qweight"), "weight");
    if (!weights) return;
    const TensorDesc high = other.tensor(*weights);
    if (!Is16Bit(high.dtype) || high.shape.size() != 2 || high.shape[0] != parts->shape.outputs ||
        high.shape[1] != parts->shape.inputs) {
      return;
    }
    edges->push_back({this,
                      {static_cast<std::byte>(parts->scales_dtype)},
                      {{false, *weights}, {true, parts->scales}, {true, parts->zeros}}});
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, kParentCount, params, 1));
    QSTORE_ASSIGN(const DType scales_dtype, FloatTypeOf(params[0]));
    for (const Parent side : {kScales, kZeros}) QSTORE_TRY(CheckSmall(parents[side]));
    const uint64_t scale_bytes = DTypeBits(scales_dtype) / 8;
    if (child.elem_bytes() != 4 || parents[kScales].byte_size % scale_bytes != 0) {
      return Corrupt("AWQ codes: words or scales are cut");
    }
    const auto shape =
        AwqShapeOf(child.row_elems, child.elem_count(), parents[kScales].byte_size / scale_bytes,
                   parents[kZeros].byte_size);
    if (!shape) return Corrupt("AWQ codes: codes, scales and zero points fit no shape");
    const ObjectSpec& weights = parents[kWeights];
    if (!Is16Bit(weights.dtype) || weights.row_elems != shape->inputs ||
        weights.elem_count() != shape->inputs * shape->outputs) {
      return Corrupt("AWQ codes: the weights are no F16 or BF16 of its shape");
    }
    if (child.chunk_elems % shape->row_words() != 0) {
      return Corrupt("AWQ codes: chunks are not of whole inputs");
    }
    return std::unique_ptr<const Bound>(new BoundAwqCodes(child, parents, *shape, scales_dtype));
  }

  std::optional<Packing> PackingOf(const TensorDesc& tensor, const TensorTable& own,
                                   std::span<const TensorTable* const>, Level) const override {
    const auto parts = PartsOf(tensor, own);
    if (!parts) return std::nullopt;
    const AwqShape& shape = parts->shape;
    const uint64_t inputs = std::max<uint64_t>(kLeastInputs, kChunkElems / shape.outputs);
    if (inputs > kMostElems / shape.row_words()) return std::nullopt;
    return Packing{inputs * shape.row_words(), kLeastInputs * shape.row_words(),
                   shape.inputs * shape.outputs};
  }

 private:
  // Inputs of a chunk: lines of the cache of 16-bit weights are not cut.
  static constexpr uint64_t kLeastInputs = 32;
  static constexpr uint64_t kMostElems = (uint64_t{1} << 24) / 4;

  static std::optional<AwqParts> PartsOf(const TensorDesc& target, const TensorTable& own) {
    const auto module = ModuleOf(target.name, "qweight");
    return module ? FindAwqParts(*module, own) : std::nullopt;
  }
};

}  // namespace

const Scheme& AwqCodes() {
  static const AwqCodesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
