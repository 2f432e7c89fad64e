// SPDX-License-Identifier: Apache-2.0
#include "scheme/delta/delta.h"

#include <algorithm>

#include "base/status_macros.h"
#include "codec/floating.h"
#include "scheme/checks.h"
#include "scheme/delta/delta_coder.h"

namespace qstore::scheme {
namespace {

// The share of the raw size from which on a chunk is coded alone as well.
constexpr double kSuspiciousShare = 0.55;

class BoundDelta final : public Bound {
 public:
  BoundDelta(const ObjectSpec& child, const ObjectSpec& parent)
      : Bound(child, {&parent, 1}),
        parent_elems_(parent.elem_count()),
        by_chunks_(parent.elem_count() == child.elem_count() &&
                   parent.chunk_elems == child.chunk_elems) {}

  Take TakeOf(size_t) const override { return by_chunks_ ? Take::kChunk : Take::kRange; }
  Region NeedOf(size_t, const ChunkAt& at) const override {
    const uint64_t size = child().elem_bytes();
    if (by_chunks_) return {at.first_elem * size, at.elem_count * size, 0, 1};
    const uint64_t first = std::min(at.first_elem, parent_elems_);
    const uint64_t end = std::min(at.first_elem + at.elem_count, parent_elems_);
    return {first * size, (end - first) * size, 0, 1};
  }
  ChunkRange ChunksTaking(size_t) const override {
    const uint64_t shared = std::min(parent_elems_, child().elem_count());
    return {0, (shared + child().chunk_elems - 1) / child().chunk_elems};
  }
  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    return DeltaBytes(chunk_bytes / child().elem_bytes());
  }

  Fit Encode(const ChunkAt&, std::span<const ParentContent> parents, std::span<const std::byte> raw,
             codec::Effort effort, Scratch* scratch, std::vector<std::byte>* out) const override {
    const std::span<const std::byte> given = parents[0].bytes;
    if (given.empty()) return Fit::kNone;
    if (given.size() == raw.size() && std::equal(raw.begin(), raw.end(), given.begin())) {
      return Fit::kSure;
    }
    const size_t shared = given.size();
    EncodeDelta(child().dtype, raw.first(shared), given, scratch->Of<DeltaScratch>(), out);
    if (shared < raw.size()) {
      codec::EncodeFloats(child().dtype, effort, raw.subspan(shared), &scratch->planes, out);
    }
    const bool is_sure =
        static_cast<double>(out->size()) < kSuspiciousShare * static_cast<double>(raw.size());
    return is_sure ? Fit::kSure : Fit::kMaybe;
  }

  Status Decode(const ChunkAt&, std::span<const ParentContent> parents, base::ByteReader* payload,
                Scratch* scratch, std::span<std::byte> raw) const override {
    const std::span<const std::byte> given = parents[0].bytes;
    if (payload->remaining() == 0) {
      if (given.size() != raw.size()) return Corrupt("delta: the parent does not tell all");
      std::copy(given.begin(), given.end(), raw.begin());
      return {};
    }
    if (given.empty()) return Corrupt("delta: the parent has nothing of the chunk");
    QSTORE_TRY(DecodeDelta(child().dtype, payload, given, scratch->Of<DeltaScratch>(),
                           raw.first(given.size())));
    if (given.size() == raw.size()) return {};
    return codec::DecodeFloats(child().dtype, payload, &scratch->planes, raw.subspan(given.size()));
  }

 private:
  uint64_t parent_elems_;
  bool by_chunks_;
};

// Whether the one has the rows of the other, and perhaps more behind them.
bool HasRowsOf(const TensorDesc& a, const TensorDesc& b) {
  return !a.shape.empty() && a.shape.size() == b.shape.size() &&
         std::equal(a.shape.begin() + 1, a.shape.end(), b.shape.begin() + 1);
}

class DeltaScheme final : public Scheme {
 public:
  SchemeId id() const override { return 16; }
  std::string_view name() const override { return "delta"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    if (!codec::IsCodedFloat(target.dtype)) return;
    const auto base = other.Find(target.name);
    if (!base) return;
    const TensorDesc parent = other.tensor(*base);
    if (parent.dtype != target.dtype || !HasRowsOf(target, parent)) return;
    edges->push_back({this, {}, {{false, *base}}});
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, 1, params, 0));
    if (!codec::IsCodedFloat(child.dtype)) return Corrupt("delta: it is no coded float");
    if (parents[0].dtype != child.dtype) return Corrupt("delta: its parent is of another type");
    if (parents[0].row_elems != child.row_elems && parents[0].elem_count() != child.elem_count()) {
      return Corrupt("delta: rows of its parent have another length");
    }
    return std::unique_ptr<const Bound>(new BoundDelta(child, parents[0]));
  }
};

}  // namespace

const Scheme& Delta() {
  static const DeltaScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
