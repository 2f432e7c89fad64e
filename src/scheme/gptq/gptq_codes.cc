// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "codec/kernels/round_kernels.h"
#include "scheme/checks.h"
#include "scheme/gptq/gptq.h"
#include "scheme/gptq/gptq_parts.h"
#include "scheme/gptq/gptq_tensor.h"
#include "scheme/grid/near_coder.h"
#include "scheme/grid/nearest.h"
#include "scheme/grid/turn.h"

namespace qstore::scheme {
namespace {

constexpr size_t kWeights = 0;
// Inputs looked at to choose how zero points are meant.
constexpr size_t kSampleInputs = 4;

struct GptqCodesScratch {
  NearScratch near;
  std::vector<uint32_t> group_of;
  std::vector<std::byte> columns;  // Weights of the chunk.
  std::vector<float> row;          // Those of an output.
  std::vector<float> tile;         // By input, then a few outputs.
  std::vector<uint8_t> nearest;
  std::vector<uint8_t> places;
  std::vector<uint8_t> codes;
};

/// The nearest codes, and places, of inputs of a chunk. Weights lie row by row, codes by input:
/// they are turned in tiles of a few outputs.
class Nearest {
 public:
  Nearest(const GptqTensor& own, uint64_t first_input, uint64_t inputs, GptqCodesScratch* scratch)
      : own_(own), first_(first_input), inputs_(inputs), scratch_(*scratch) {}

  uint64_t total() const { return inputs_ * own_.shape.outputs; }

  // `weights` are those of the inputs, row by row.
  Status Prepare(DType dtype, std::span<const std::byte> weights) {
    dtype_ = dtype;
    patterns_ = reinterpret_cast<const uint8_t*>(weights.data());
    scratch_.nearest.resize(total());
    scratch_.places.resize(total());
    scratch_.row.resize(inputs_);
    scratch_.tile.resize(inputs_ * kTile);
    return ReadGroups(own_, &scratch_.group_of);
  }

  // Fills nearest codes and places of every `step`th input of the chunk.
  void Find(GptqZeros zeros, uint64_t step = 1) {
    const uint64_t outputs = own_.shape.outputs;
    for (uint64_t first = 0; first < outputs; first += kTile) {
      const uint64_t count = std::min(kTile, outputs - first);
      Turn(first, count);
      uint64_t known = UINT64_MAX;
      float scales[kTile];
      uint8_t zero_points[kTile];
      for (uint64_t i = 0; i < inputs_; i += step) {
        const uint64_t group = scratch_.group_of[first_ + i];
        if (group != known) {
          ReadScales(own_, group, first, count, scales);
          ReadZeros(own_, zeros, group, first, count, zero_points);
          known = group;
        }
        const uint64_t at = i * outputs + first;
        Round(scratch_.tile.data() + i * kTile, scales, zero_points, count,
              scratch_.nearest.data() + at, scratch_.places.data() + at);
      }
    }
  }

 private:
  static constexpr uint64_t kTile = 64;

  // Subnormals count as zeros, as with all rules.
  void Turn(uint64_t first, uint64_t count) {
    const codec::RoundKernels& kernels = codec::ActiveRounding();
    float* row = scratch_.row.data();
    for (uint64_t o = 0; o < count; ++o) {
      const uint8_t* from = patterns_ + (first + o) * inputs_ * 2;
      if (dtype_ == DType::kBF16) {
        kernels.widen_bf16(from, inputs_, row);
      } else {
        kernels.widen_fp16(from, inputs_, row);
      }
      for (uint64_t i = 0; i < inputs_; ++i) scratch_.tile[i * kTile + o] = row[i];
    }
  }

  void Round(const float* values, const float* scales, const uint8_t* zeros, uint64_t count,
             uint8_t* nearest, uint8_t* places) const {
    float steps[kTile];
    CountSteps(values, scales, count, DType::kF32, steps);
    FindNearest(steps, zeros, count, own_.shape.bits, nearest, places);
  }

  const GptqTensor& own_;
  uint64_t first_;
  uint64_t inputs_;
  GptqCodesScratch& scratch_;
  DType dtype_ = DType::kBF16;
  const uint8_t* patterns_ = nullptr;
};

class BoundGptqCodes final : public Bound {
 public:
  BoundGptqCodes(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                 const GptqShape& shape, const GptqSides& sides)
      : Bound(child, parents), shape_(shape), sides_(sides), dtype_(parents[kWeights].dtype) {}

  Take TakeOf(size_t) const override { return Take::kWhole; }
  // Of the weights those of the chunk's inputs, which are columns.
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent != kWeights) return Whole(parent);
    const uint64_t size = DTypeBits(dtype_) / 8;
    return {FirstInput(at) * size, Inputs(at) * size, shape_.inputs * size, shape_.outputs};
  }
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t weights = chunk_bytes * 8 / shape_.bits;
    return (10 + kNearScratchPerCode) * weights + kNearScratch + 520 * shape_.inputs;
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    auto* own = scratch->Of<GptqCodesScratch>();
    const GptqTensor tensor = GptqTensorOf(shape_, sides_, {}, parents.subspan(1));
    Nearest nearest(tensor, FirstInput(at), Inputs(at), own);
    if (!nearest.Prepare(dtype_, GatherRuns(parents[kWeights], NeedOf(kWeights, at), &own->columns))
             .ok())
      return Fit::kNone;
    own->codes.resize(nearest.total());
    codec::ActiveKernels().unpack_inputs(reinterpret_cast<const uint8_t*>(raw.data()), shape_.bits,
                                         Inputs(at), shape_.outputs, own->codes.data());
    const GptqZeros zeros = ChooseZeros(Inputs(at), &nearest, own);
    nearest.Find(zeros);
    out->push_back(static_cast<std::byte>(zeros));
    EncodeNear(shape_.bits, own->codes, own->nearest, own->places, &own->near, out);
    return Fit::kMaybe;
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    auto* own = scratch->Of<GptqCodesScratch>();
    const auto zeros = payload->Fixed<uint8_t>();
    if (!IsGptqZeros(zeros, shape_.bits)) return Corrupt("gptq codes: zero points out of range");
    const GptqTensor tensor = GptqTensorOf(shape_, sides_, {}, parents.subspan(1));
    Nearest nearest(tensor, FirstInput(at), Inputs(at), own);
    QSTORE_TRY(nearest.Prepare(dtype_,
                               GatherRuns(parents[kWeights], NeedOf(kWeights, at), &own->columns)));
    nearest.Find(static_cast<GptqZeros>(zeros));
    own->codes.resize(nearest.total());
    QSTORE_TRY(DecodeNear(shape_.bits, payload, own->nearest, own->places, &own->near, own->codes));
    codec::ActiveKernels().pack_inputs(own->codes.data(), shape_.bits, Inputs(at), shape_.outputs,
                                       reinterpret_cast<uint8_t*>(raw.data()));
    return {};
  }

 private:
  uint64_t FirstInput(const ChunkAt& at) const {
    return 32 * at.first_elem / (shape_.outputs * shape_.bits);
  }
  uint64_t Inputs(const ChunkAt& at) const {
    return 32 * at.elem_count / (shape_.outputs * shape_.bits);
  }
  GptqZeros ChooseZeros(uint64_t inputs, Nearest* nearest, GptqCodesScratch* own) const {
    const uint64_t outputs = shape_.outputs;
    const uint64_t step = std::max<uint64_t>(1, inputs / kSampleInputs);
    GptqZeros best = GptqZeros::kPlain;
    uint64_t least = UINT64_MAX;
    for (unsigned z = 0; IsGptqZeros(z, shape_.bits); ++z) {
      uint64_t distance = 0;
      nearest->Find(static_cast<GptqZeros>(z), step);
      for (uint64_t i = 0; i < inputs; i += step) {
        for (uint64_t o = i * outputs; o < (i + 1) * outputs; ++o) {
          distance += static_cast<uint64_t>(
              std::abs(static_cast<int>(own->codes[o]) - static_cast<int>(own->nearest[o])));
        }
      }
      if (distance >= least) continue;
      least = distance;
      best = static_cast<GptqZeros>(z);
    }
    return best;
  }

  GptqShape shape_;
  GptqSides sides_;
  DType dtype_;
};

// Parents: the 16-bit weights; then scales, zero points and groups, if any, of the child itself.
// Parameters: as of GptqFloats.
class GptqCodesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 10; }
  std::string_view name() const override { return "gptq-codes"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto module = ModuleOf(target.name, kQWeight);
    if (!module) return;
    const auto parts = FindGptqParts(*module, own);
    const auto weights = FindIn(other, *module, "weight");
    if (!parts || !weights) return;
    const TensorDesc high = other.tensor(*weights);
    if (!Is16Bit(high.dtype) || high.shape.size() != 2 || high.shape[0] != parts->shape.outputs ||
        high.shape[1] != parts->shape.inputs) {
      return;
    }
    Edge edge{this,
              {static_cast<std::byte>(parts->scales_dtype),
               static_cast<std::byte>(parts->groups ? 1 : 0)},
              {{false, *weights}}};
    AddSides(*parts, true, &edge.parents);
    edges->push_back(std::move(edge));
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    if (params.size() != 2 || params[1] > std::byte{1}) {
      return Corrupt("GPTQ codes: parameters out of range");
    }
    QSTORE_ASSIGN(const DType scales_dtype, FloatTypeOf(params[0]));
    const GptqSides sides{scales_dtype, params[1] == std::byte{1}};
    QSTORE_TRY(CheckCounts(parents, 1 + sides.count(), params, 2));
    QSTORE_ASSIGN(const GptqShape shape, CheckGptq(child, sides, parents.subspan(1)));
    const ObjectSpec& weights = parents[kWeights];
    if (!Is16Bit(weights.dtype) || weights.row_elems != shape.inputs ||
        weights.elem_count() != shape.elem_count()) {
      return Corrupt("GPTQ codes: the weights are no F16 or BF16 of its shape");
    }
    if (child.chunk_elems % (shape.outputs * shape.bits) != 0) {
      return Corrupt("GPTQ codes: chunks are not of whole inputs");
    }
    return std::unique_ptr<const Bound>(new BoundGptqCodes(child, parents, shape, sides));
  }
};

}  // namespace

const Scheme& GptqCodes() {
  static const GptqCodesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
