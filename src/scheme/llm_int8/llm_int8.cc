// SPDX-License-Identifier: Apache-2.0
#include "scheme/llm_int8/llm_int8.h"

#include <bit>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/grid/bins_coder.h"
#include "scheme/llm_int8/int8_grid.h"
#include "scheme/llm_int8/int8_weights.h"

namespace qstore::scheme {
namespace {

enum Parent : uint8_t { kCodes, kScales };

class BoundLlmInt8 final : public Bound {
 public:
  using Bound::Bound;

  Take TakeOf(size_t parent) const override {
    return parent == kCodes ? Take::kChunk : Take::kWhole;
  }
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    return parent == kCodes ? Region{at.first_elem, at.elem_count, 0, 1} : Whole(parent);
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
  // Scales of the rows that the elements lie in: the bytes of a parent are not aligned.
  Codes CodesOf(const ChunkAt& at, std::span<const ParentContent> parents,
                BinsScratch* scratch) const {
    const uint64_t row_elems = child().row_elems;
    const uint64_t first = at.first_elem / row_elems;
    const uint64_t end = (at.first_elem + at.elem_count + row_elems - 1) / row_elems;
    scratch->scales.resize(end - first);
    for (uint64_t row = first; row < end; ++row) {
      scratch->scales[row - first] =
          std::bit_cast<float>(base::LoadLe<uint32_t>(parents[kScales].bytes.data() + 4 * row));
    }
    return {Int8Grid(),
            {at.first_elem - first * row_elems, row_elems},
            parents[kCodes].bytes,
            scratch->scales};
  }
};

class LlmInt8Scheme final : public Scheme {
 public:
  SchemeId id() const override { return 1; }
  std::string_view name() const override { return "llm-int8"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    constexpr std::string_view kWeight = "weight";
    const auto codes = other.Find(target.name);
    if (!codes || !target.name.ends_with(kWeight) || !codec::IsCodedFloat(target.dtype) ||
        target.shape.size() < 2) {
      return;
    }
    const TensorDesc low = other.tensor(*codes);
    if (low.dtype != DType::kI8 || !SameShape(target, low)) return;
    const auto prefix = target.name.substr(0, target.name.size() - kWeight.size());
    const auto scales = FindIn(other, prefix, "SCB");
    if (!scales) return;
    const TensorDesc scb = other.tensor(*scales);
    if (scb.dtype != DType::kF32 || ElementCount(scb.shape) != target.shape[0]) return;
    edges->push_back({this, {}, {{false, *codes}, {false, *scales}}});
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, 2, params, 0));
    QSTORE_TRY(CheckSmall(parents[kScales]));
    if (!codec::IsCodedFloat(child.dtype)) return Corrupt("LLM.int8: it is no coded float");
    if (parents[kCodes].elem_bytes() != 1 || parents[kCodes].elem_count() != child.elem_count()) {
      return Corrupt("LLM.int8: its codes are not one byte for each element");
    }
    const uint64_t elems = child.elem_count();
    if (elems % child.row_elems != 0 ||
        parents[kScales].byte_size != elems / child.row_elems * sizeof(float)) {
      return Corrupt("LLM.int8: its scales are not one F32 for each row");
    }
    return std::unique_ptr<const Bound>(new BoundLlmInt8(child, parents));
  }

  std::optional<std::string_view> ModuleOfCodes(const TensorDesc& tensor) const override {
    return ModuleOfInt8(tensor);
  }
  std::unique_ptr<const QuantizedWeights> WeightsOf(size_t codes, const TensorTable& own,
                                                    Refusal* refusal) const override {
    return FindInt8Weights(codes, own, refusal);
  }
};

}  // namespace

const Scheme& LlmInt8() {
  static const LlmInt8Scheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
