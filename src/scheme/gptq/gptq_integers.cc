// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/gptq/gptq.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_parts.h"

namespace qstore::scheme {
namespace {

constexpr uint64_t kWord = sizeof(uint32_t);

// The parts of a tensor, and those of the child itself.
struct TwoTensors {
  GptqShape parent;
  GptqSides parent_sides;
  GptqShape own;
  GptqSides own_sides;
};

class BoundGptqIntegers final : public Bound {
 public:
  BoundGptqIntegers(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                    const TwoTensors& tensors)
      : Bound(child, parents), tensors_(tensors) {}

  Take TakeOf(size_t parent) const override { return parent == 0 ? Take::kChunk : Take::kWhole; }
  // Of the words those of the same inputs.
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent > 0) return Whole(parent);
    const uint64_t own = tensors_.own.bits;
    const uint64_t bits = tensors_.parent.bits;
    return {at.first_elem * bits / own * kWord, at.elem_count * bits / own * kWord, 0, 1};
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    const auto listed =
        EncodeGptqIntegers(effort, FirstInput(at), raw, Own(parents), parents[0].bytes,
                           Parent(parents), scratch->Of<GptqScratch>(), out);
    if (!listed) return Fit::kNone;
    return FitOfListed(*listed, at.elem_count);
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    return DecodeGptqIntegers(FirstInput(at), payload, Own(parents), parents[0].bytes,
                              Parent(parents), scratch->Of<GptqScratch>(), raw);
  }
  // gptq_inputs.h: integers of both and nibbles of the chunk; all scales and zero points.
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t weights = 8 * chunk_bytes / tensors_.own.bits;
    const uint64_t groups = tensors_.own.groups + tensors_.parent.groups;
    return 6 * weights + 5 * groups * tensors_.own.outputs + 8 * tensors_.own.inputs +
           16 * tensors_.own.outputs;
  }

 private:
  uint64_t FirstInput(const ChunkAt& at) const {
    return 32 * at.first_elem / (tensors_.own.outputs * tensors_.own.bits);
  }
  GptqTensor Parent(std::span<const ParentContent> parents) const {
    return GptqTensorOf(tensors_.parent, tensors_.parent_sides, {}, parents.subspan(1));
  }
  GptqTensor Own(std::span<const ParentContent> parents) const {
    return GptqTensorOf(tensors_.own, tensors_.own_sides, {},
                        parents.subspan(1 + tensors_.parent_sides.count()));
  }

  TwoTensors tensors_;
};

// Parents: words, scales, zero points and, if there are any, groups of the other tensor; then
// scales, zero points and groups of the child's own. Parameters: types of both scales, and the sum
// of 1 when there are groups and 2 when there are own ones.
class GptqIntegersScheme final : public Scheme {
 public:
  SchemeId id() const override { return 4; }
  std::string_view name() const override { return "gptq-integers"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto module = ModuleOf(target.name, kQWeight);
    if (!module) return;
    const auto parent = FindGptqParts(*module, other);
    const auto self = FindGptqParts(*module, own);
    if (!parent || !self || parent->shape.inputs != self->shape.inputs ||
        parent->shape.outputs != self->shape.outputs) {
      return;
    }
    const int groups = (parent->groups ? 1 : 0) + (self->groups ? 2 : 0);
    Edge edge{this,
              {static_cast<std::byte>(parent->scales_dtype),
               static_cast<std::byte>(self->scales_dtype), static_cast<std::byte>(groups)},
              {{false, parent->weights}}};
    AddSides(*parent, false, &edge.parents);
    AddSides(*self, true, &edge.parents);
    edges->push_back(std::move(edge));
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    if (params.size() != 3 || params[2] > std::byte{3}) {
      return Corrupt("GPTQ integers: parameters out of range");
    }
    const auto groups = static_cast<unsigned>(params[2]);
    TwoTensors tensors;
    QSTORE_ASSIGN(tensors.parent_sides.scales_dtype, FloatTypeOf(params[0]));
    QSTORE_ASSIGN(tensors.own_sides.scales_dtype, FloatTypeOf(params[1]));
    tensors.parent_sides.has_groups = (groups & 1) != 0;
    tensors.own_sides.has_groups = (groups & 2) != 0;
    const size_t sides = tensors.parent_sides.count();
    const size_t own_sides = tensors.own_sides.count();
    QSTORE_TRY(CheckCounts(parents, 1 + sides + own_sides, params, 3));
    QSTORE_ASSIGN(tensors.parent,
                  CheckGptq(parents[0], tensors.parent_sides, parents.subspan(1, sides)));
    QSTORE_ASSIGN(tensors.own,
                  CheckGptq(child, tensors.own_sides, parents.subspan(1 + sides, own_sides)));
    const GptqShape& own = tensors.own;
    if (own.inputs != tensors.parent.inputs || own.outputs != tensors.parent.outputs) {
      return Corrupt("GPTQ integers: it does not have the shape of its parent");
    }
    // Chunks are of whole inputs, which fill words in both.
    if (child.chunk_elems % (own.outputs * own.bits) != 0) {
      return Corrupt("GPTQ integers: chunks are not of whole inputs");
    }
    return std::unique_ptr<const Bound>(new BoundGptqIntegers(child, parents, tensors));
  }

  std::optional<Packing> PackingOf(const TensorDesc& tensor, const TensorTable& own,
                                   std::span<const TensorTable* const>, Level) const override {
    const auto module = ModuleOf(tensor.name, kQWeight);
    if (!module) return std::nullopt;
    const auto parts = FindGptqParts(*module, own);
    return parts ? GptqPacking(parts->shape) : std::nullopt;
  }

  bool IsQuantized(const TensorDesc& tensor) const override {
    return tensor.name.ends_with(kQWeight);
  }
};

}  // namespace

const Scheme& GptqIntegers() {
  static const GptqIntegersScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
