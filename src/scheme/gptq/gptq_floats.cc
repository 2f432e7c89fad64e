// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/gptq/gptq.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_parts.h"
#include "scheme/gptq/gptq_weights.h"

namespace qstore::scheme {
namespace {

constexpr uint64_t kWord = sizeof(uint32_t);
// Rows of integers and scales of a chunk are set apart by some cache lines.
constexpr uint64_t kRowGap = 512;

class BoundGptqFloats final : public Bound {
 public:
  BoundGptqFloats(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                  const GptqShape& shape, const GptqSides& sides)
      : Bound(child, parents), shape_(shape), sides_(sides) {}

  Take TakeOf(size_t) const override { return Take::kWhole; }
  // Of the words those of the chunk's outputs, which are columns.
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent > 0) return Whole(parent);
    const GptqOutputs outputs = OutputsOf(at);
    return {outputs.first * kWord, outputs.count * kWord, shape_.outputs * kWord,
            shape_.inputs * shape_.bits / 32};
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    const auto listed = EncodeGptqFloats(child().dtype, effort, OutputsOf(at).first, raw,
                                         Tensor(at, parents), scratch->Of<GptqScratch>(), out);
    if (!listed) return Fit::kNone;
    return FitOfListed(*listed, at.elem_count);
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    return DecodeGptqFloats(child().dtype, OutputsOf(at).first, payload, Tensor(at, parents),
                            scratch->Of<GptqScratch>(), raw);
  }
  // gptq_rows.h: integers, nibbles and values in the order of groups; scales and zero points of the
  // chunk's rows; orders of inputs and runs of groups.
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t weights = chunk_bytes / 2;
    const uint64_t rows = weights / shape_.inputs + 1;
    return 6 * weights + rows * (kRowGap + 5 * shape_.groups) + 8 * shape_.inputs +
           64 * shape_.groups;
  }

 private:
  GptqOutputs OutputsOf(const ChunkAt& at) const {
    return {at.first_elem / shape_.inputs, at.elem_count / shape_.inputs};
  }
  GptqTensor Tensor(const ChunkAt& at, std::span<const ParentContent> parents) const {
    GptqTensor tensor = GptqTensorOf(shape_, sides_, parents[0].bytes, parents.subspan(1));
    if (!parents[0].is_whole) tensor.only = OutputsOf(at);
    return tensor;
  }

  GptqShape shape_;
  GptqSides sides_;
};

// Parents: words, scales, zero points, groups if there are any. Parameters: type of the scales, 1
// when there are groups.
class GptqFloatsScheme final : public Scheme {
 public:
  SchemeId id() const override { return 3; }
  std::string_view name() const override { return "gptq"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto module = ModuleOf(target.name, "weight");
    if (!module || target.shape.size() != 2 || !Is16Bit(target.dtype)) return;
    const auto parts = FindGptqParts(*module, other);
    if (!parts || parts->shape.inputs != target.shape[1] ||
        parts->shape.outputs != target.shape[0]) {
      return;
    }
    Edge edge{this,
              {static_cast<std::byte>(parts->scales_dtype),
               static_cast<std::byte>(parts->groups ? 1 : 0)},
              {{false, parts->weights}}};
    AddSides(*parts, false, &edge.parents);
    edges->push_back(std::move(edge));
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    if (params.size() != 2 || params[1] > std::byte{1}) {
      return Corrupt("GPTQ floats: parameters out of range");
    }
    QSTORE_ASSIGN(const DType scales_dtype, FloatTypeOf(params[0]));
    const GptqSides sides{scales_dtype, params[1] == std::byte{1}};
    QSTORE_TRY(CheckCounts(parents, 1 + sides.count(), params, 2));
    QSTORE_ASSIGN(const GptqShape shape, CheckGptq(parents[0], sides, parents.subspan(1)));
    if (!Is16Bit(child.dtype)) return Corrupt("GPTQ floats: it is no F16 or BF16");
    if (child.row_elems != shape.inputs || child.elem_count() != shape.elem_count() ||
        child.chunk_elems % shape.inputs != 0) {
      return Corrupt("GPTQ floats: it does not have the rows of its parent");
    }
    return std::unique_ptr<const Bound>(new BoundGptqFloats(child, parents, shape, sides));
  }

  std::optional<std::string_view> ModuleOfCodes(const TensorDesc& tensor) const override {
    return ModuleOfGptq(tensor);
  }
  std::unique_ptr<const QuantizedWeights> WeightsOf(size_t codes, const TensorTable& own,
                                                    Refusal* refusal) const override {
    return FindGptqWeights(codes, own, refusal);
  }

 private:
  static bool Is16Bit(DType dtype) { return dtype == DType::kBF16 || dtype == DType::kF16; }
};

}  // namespace

const Scheme& GptqFloats() {
  static const GptqFloatsScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
