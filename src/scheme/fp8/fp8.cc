// SPDX-License-Identifier: Apache-2.0
#include "scheme/fp8/fp8.h"

#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/fp8/fp8_rule.h"
#include "scheme/grid/bins_coder.h"

namespace qstore::scheme {
namespace {

enum Parent : uint8_t { kCodes, kScales };

class BoundFp8 final : public Bound {
 public:
  BoundFp8(const ObjectSpec& child, std::span<const ObjectSpec> parents, uint64_t row_elems)
      : Bound(child, parents), row_elems_(row_elems) {}

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
        EncodeBins(DType::kBF16, effort, CodesOf(at, parents, own), raw, own, out);
    return FitOfListed(listed, at.elem_count);
  }
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    auto* own = scratch->Of<BinsScratch>();
    return DecodeBins(DType::kBF16, CodesOf(at, parents, own), payload, own, raw);
  }

 private:
  // As signed bytes: codes have a sign and a magnitude.
  Codes CodesOf(const ChunkAt& at, std::span<const ParentContent> parents,
                BinsScratch* scratch) const {
    const uint64_t first = at.first_elem / row_elems_;
    const uint64_t end = (at.first_elem + at.elem_count + row_elems_ - 1) / row_elems_;
    const Fp8Scales scales{parents[kScales].bytes, row_elems_};
    scratch->scales.resize(end - first);
    for (uint64_t row = first; row < end; ++row) scratch->scales[row - first] = scales.at(row);
    scratch->q.resize(at.elem_count);
    for (size_t i = 0; i < at.elem_count; ++i) {
      const auto code = static_cast<unsigned>(parents[kCodes].bytes[i]);
      const unsigned magnitude = code & 0x7f;
      scratch->q[i] = static_cast<std::byte>((code & 0x80) != 0 ? 0u - magnitude : magnitude);
    }
    return {
        Fp8Grid(), {at.first_elem - first * row_elems_, row_elems_}, scratch->q, scratch->scales};
  }

  uint64_t row_elems_;  // That have the same scale.
};

class Fp8Scheme final : public Scheme {
 public:
  SchemeId id() const override { return 5; }
  std::string_view name() const override { return "fp8"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto codes = other.Find(target.name);
    if (!codes || target.dtype != DType::kBF16) return;
    const TensorDesc low = other.tensor(*codes);
    const auto scale = FindFp8Scale(low, other);
    if (!scale || !SameShape(target, low)) return;
    edges->push_back({this, {}, {{false, *codes}, {false, *scale}}});
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, 2, params, 0));
    QSTORE_ASSIGN(const uint64_t row_elems, Fp8RowElems(child, parents[kScales]));
    if (child.dtype != DType::kBF16) return Corrupt("FP8: it is no BF16");
    if (parents[kCodes].elem_bytes() != 1 || parents[kCodes].elem_count() != child.elem_count()) {
      return Corrupt("FP8: its codes are not one byte for each element");
    }
    return std::unique_ptr<const Bound>(new BoundFp8(child, parents, row_elems));
  }
};

}  // namespace

const Scheme& Fp8() {
  static const Fp8Scheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
