// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/fp8/fp8.h"
#include "scheme/fp8/fp8_rule.h"

namespace qstore::scheme {
namespace {

enum Parent : uint8_t { kWeights, kScales };

/// Codes that weights and scales say.
struct Predicted {
  std::vector<uint8_t> codes;
};

class BoundFp8Codes final : public Bound {
 public:
  BoundFp8Codes(const ObjectSpec& child, std::span<const ObjectSpec> parents, uint64_t row_elems)
      : Bound(child, parents), row_elems_(row_elems) {}

  Take TakeOf(size_t parent) const override {
    return parent == kWeights ? Take::kChunk : Take::kWhole;
  }
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    return parent == kWeights ? Region{2 * at.first_elem, 2 * at.elem_count, 0, 1} : Whole(parent);
  }

  // Where nothing is listed there is no payload.
  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    auto& codes = scratch->Of<Predicted>()->codes;
    codes.resize(at.elem_count);
    Round(at, parents, codes.data());
    std::vector<size_t> listed;
    for (size_t i = 0; i < codes.size(); ++i) {
      if (static_cast<std::byte>(codes[i]) != raw[i]) listed.push_back(i);
    }
    if (listed.empty()) return Fit::kSure;
    base::ByteWriter writer(out);
    writer.Varint(listed.size());
    size_t next = 0;
    for (const size_t i : listed) {
      writer.Varint(i - next);
      writer.Fixed(static_cast<uint8_t>(raw[i]));
      next = i + 1;
    }
    return FitOfListed(listed.size(), at.elem_count);
  }

  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch*, std::span<std::byte> raw) const override {
    Round(at, parents, reinterpret_cast<uint8_t*>(raw.data()));
    if (payload->remaining() == 0) return {};
    const uint64_t listed = payload->Varint();
    uint64_t next = 0;
    for (uint64_t i = 0; i < listed; ++i, ++next) {
      const uint64_t skip = payload->Varint();
      const auto code = payload->Fixed<uint8_t>();
      if (!payload->ok() || next >= raw.size() || skip >= raw.size() - next) {
        return Corrupt("FP8: listed code out of range");
      }
      next += skip;
      raw[next] = static_cast<std::byte>(code);
    }
    return payload->ok() ? Status() : Corrupt("FP8: list of codes missing");
  }

 private:
  void Round(const ChunkAt& at, std::span<const ParentContent> parents, uint8_t* codes) const {
    const Fp8Scales scales{parents[kScales].bytes, row_elems_};
    for (uint64_t done = 0; done < at.elem_count;) {
      const uint64_t row = (at.first_elem + done) / row_elems_;
      const uint64_t left = (row + 1) * row_elems_ - (at.first_elem + done);
      const uint64_t count = std::min(left, at.elem_count - done);
      RoundToFp8(parents[kWeights].bytes.subspan(2 * done, 2 * count), scales.at(row),
                 codes + done);
      done += count;
    }
  }

  uint64_t row_elems_;  // That have the same scale.
};

// Parents: the weights, and the scales of the codes themselves.
class Fp8CodesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 6; }
  std::string_view name() const override { return "fp8-codes"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const auto scale = FindFp8Scale(target, own);
    const auto weights = other.Find(target.name);
    if (!scale || !weights) return;
    const TensorDesc high = other.tensor(*weights);
    if (high.dtype != DType::kBF16 || !SameShape(target, high)) return;
    edges->push_back({this, {}, {{false, *weights}, {true, *scale}}});
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, 2, params, 0));
    QSTORE_ASSIGN(const uint64_t row_elems, Fp8RowElems(child, parents[kScales]));
    if (child.elem_bytes() != 1) return Corrupt("FP8 codes: they are not one byte each");
    if (parents[kWeights].elem_bytes() != 2 ||
        parents[kWeights].elem_count() != child.elem_count()) {
      return Corrupt("FP8 codes: the weights are not one BF16 for each code");
    }
    return std::unique_ptr<const Bound>(new BoundFp8Codes(child, parents, row_elems));
  }
};

}  // namespace

const Scheme& Fp8Codes() {
  static const Fp8CodesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
