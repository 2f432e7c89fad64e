// SPDX-License-Identifier: Apache-2.0
#include "scheme/cast/cast.h"

#include "base/status_macros.h"
#include "scheme/cast/cast_coder.h"
#include "scheme/checks.h"

namespace qstore::scheme {
namespace {

// The share of the raw size from which on a chunk is coded alone as well.
constexpr double kSuspiciousShare = 0.55;

class BoundCast final : public Bound {
 public:
  BoundCast(const ObjectSpec& child, std::span<const ObjectSpec> parents, DType parent_dtype)
      : Bound(child, parents), parent_dtype_(parent_dtype) {}

  Take TakeOf(size_t) const override { return Take::kChunk; }
  Region NeedOf(size_t, const ChunkAt& at) const override {
    const uint64_t bytes = DTypeBits(parent_dtype_) / 8;
    return {at.first_elem * bytes, at.elem_count * bytes, 0, 1};
  }

  Fit Encode(const ChunkAt&, std::span<const ParentContent> parents, std::span<const std::byte> raw,
             codec::Effort effort, Scratch* scratch, std::vector<std::byte>* out) const override {
    EncodeCastDelta(child().dtype, parent_dtype_, effort, raw, parents[0].bytes, &scratch->planes,
                    out);
    const bool is_sure =
        static_cast<double>(out->size()) < kSuspiciousShare * static_cast<double>(raw.size());
    return is_sure ? Fit::kSure : Fit::kMaybe;
  }
  Status Decode(const ChunkAt&, std::span<const ParentContent> parents, base::ByteReader* payload,
                Scratch* scratch, std::span<std::byte> raw) const override {
    return DecodeCastDelta(child().dtype, parent_dtype_, payload, parents[0].bytes,
                           &scratch->planes, raw);
  }

 private:
  DType parent_dtype_;
};

class CastScheme final : public Scheme {
 public:
  SchemeId id() const override { return 2; }
  std::string_view name() const override { return "cast"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto base = other.Find(target.name);
    if (!base || !codec::IsCodedFloat(target.dtype)) return;
    const TensorDesc parent = other.tensor(*base);
    if (!codec::IsCodedFloat(parent.dtype) || !SameShape(target, parent)) return;
    edges->push_back({this, {static_cast<std::byte>(parent.dtype)}, {{false, *base}}});
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, 1, params, 1));
    QSTORE_ASSIGN(const DType parent_dtype, FloatTypeOf(params[0]));
    if (!codec::IsCodedFloat(child.dtype)) return Corrupt("cast: it is no coded float");
    if (DTypeBits(parent_dtype) != DTypeBits(parents[0].dtype) ||
        parents[0].elem_count() != child.elem_count()) {
      return Corrupt("cast: differs from its parent in elements");
    }
    return std::unique_ptr<const Bound>(new BoundCast(child, parents, parent_dtype));
  }
};

}  // namespace

const Scheme& Cast() {
  static const CastScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
