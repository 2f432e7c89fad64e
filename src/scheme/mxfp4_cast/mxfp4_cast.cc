// SPDX-License-Identifier: Apache-2.0
#include "scheme/mxfp4_cast/mxfp4_cast.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/grid/predicted_bound.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "mxfp4 cast";
enum class Part : uint8_t { kCodes = 0, kScales = 1 };
enum Parent : size_t { kOf, kGlobal };

// Two blocks of NVFP4 are one of MXFP4.
constexpr uint64_t kBlocks = 2;
// Powers of two that E4M3 has, and the place of 1 in an F32's exponent and in that of an MXFP4
// scale.
constexpr int kLeastPower = -9;
constexpr int kMostPower = 8;
constexpr int kBias = 127;
// The largest number of E4M3.
constexpr unsigned kMostPattern = 0x7E;

/// The codes of the same weights: -0 has become 0.
class BoundCodes final : public PredictedBound {
 public:
  BoundCodes(const ObjectSpec& child, std::span<const ObjectSpec> parents)
      : PredictedBound(child, parents, kRule) {}

 private:
  Region NeedOfFirst(const ChunkAt& at) const override {
    return {at.first_elem, at.elem_count, 0, 1};
  }

  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch*,
               std::span<std::byte> out) const override {
    const std::span<const std::byte> codes = parents[kOf].bytes;
    for (uint64_t i = 0; i < at.elem_count; ++i) {
      const auto byte = static_cast<unsigned>(codes[i]);
      const unsigned low = (byte & 0x0F) == 0x08 ? 0 : byte & 0x0F;
      const unsigned high = (byte & 0xF0) == 0x80 ? 0 : byte & 0xF0;
      out[i] = static_cast<std::byte>(high | low);
    }
  }
};

/// A scale for each 16 weights, in units of the global scale, of one for each 32.
class BoundScales final : public PredictedBound {
 public:
  BoundScales(const ObjectSpec& child, std::span<const ObjectSpec> parents)
      : PredictedBound(child, parents, kRule) {}

  Take TakeOf(size_t parent) const override { return parent == kOf ? Take::kRange : Take::kWhole; }

 private:
  Region NeedOfFirst(const ChunkAt& at) const override {
    const uint64_t first = at.first_elem / kBlocks;
    return {first, (at.first_elem + at.elem_count - 1) / kBlocks + 1 - first, 0, 1};
  }

  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch*,
               std::span<std::byte> out) const override {
    const auto global = base::LoadLe<uint32_t>(parents[kGlobal].bytes.data());
    const std::span<const std::byte> scales = parents[kOf].bytes;
    for (uint64_t i = 0; i < at.elem_count; ++i) {
      const auto scale = static_cast<unsigned>(scales[(at.first_elem % kBlocks + i) / kBlocks]);
      out[i] = static_cast<std::byte>(PatternOf(scale, global));
    }
  }

  // Of 2^(scale - 127) / global; 0 where the global scale is no power of two that is normal.
  static unsigned PatternOf(unsigned scale, uint32_t global) {
    const auto exponent = static_cast<int>(global >> 23);
    if ((global & 0x7FFFFF) != 0 || exponent == 0 || exponent >= 255) return 0;
    const int power = static_cast<int>(scale) - kBias - (exponent - kBias);
    if (power > kMostPower) return kMostPattern;
    if (power < kLeastPower) return 1;
    return power < -6 ? 1U << (power - kLeastPower) : static_cast<unsigned>(power + 7) << 3;
  }
};

bool IsByte(DType dtype) { return DTypeBits(dtype) == 8; }

// Parents: codes, or scales and the global scale. Parameters: which of them, 1 byte.
class Mxfp4CastScheme final : public Scheme {
 public:
  SchemeId id() const override { return 14; }
  std::string_view name() const override { return "mxfp4-cast"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    if (const auto module = ModuleOf(target.name, "weight_scale")) {
      DetectScales(target, *module, own, other, edges);
    }
    if (const auto module = ModuleOf(target.name, "weight")) {
      DetectCodes(target, *module, own, other, edges);
    }
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    if (params.size() != 1 || params[0] > std::byte{1}) {
      return Corrupt("mxfp4 cast: parameters out of range");
    }
    const bool is_scales = params[0] == static_cast<std::byte>(Part::kScales);
    QSTORE_TRY(CheckCounts(parents, is_scales ? 2 : 1, params, 1));
    if (!IsByte(child.dtype) || !IsByte(parents[kOf].dtype)) {
      return Corrupt("mxfp4 cast: elements are not bytes");
    }
    const uint64_t wanted = is_scales ? kBlocks * parents[kOf].byte_size : parents[kOf].byte_size;
    if (child.byte_size != wanted) {
      return Corrupt("mxfp4 cast: codes are not as many, or scales not twice as many");
    }
    if (!is_scales) return std::unique_ptr<const Bound>(new BoundCodes(child, parents));
    if (parents[kGlobal].byte_size != sizeof(float)) {
      return Corrupt("mxfp4 cast: the global scale is not one number of 4 bytes");
    }
    return std::unique_ptr<const Bound>(new BoundScales(child, parents));
  }

 private:
  struct Source {
    size_t codes = 0;
    size_t scales = 0;
  };

  // The tensors of MXFP4 of that module, by the names of compressed-tensors or of DeepSeek.
  static std::optional<Source> SourceIn(const TensorTable& other, std::string_view module) {
    for (const auto& [codes_name, scales_name] :
         {std::pair("weight_packed", "weight_scale"), std::pair("weight", "scale")}) {
      const auto codes = FindIn(other, module, codes_name);
      const auto scales = FindIn(other, module, scales_name);
      if (!codes || !scales) continue;
      const DType dtype = other.tensor(*scales).dtype;
      const bool is_exponent = dtype == DType::kU8 || dtype == DType::kF8E8M0;
      if (is_exponent && ByteCount(other.tensor(*codes)) == 16 * ByteCount(other.tensor(*scales))) {
        return Source{*codes, *scales};
      }
    }
    return std::nullopt;
  }

  void DetectScales(const TensorDesc& target, std::string_view module, const TensorTable& own,
                    const TensorTable& other, std::vector<Edge>* edges) const {
    const auto global = FindIn(own, module, "weight_scale_2");
    const auto source = SourceIn(other, module);
    if (target.dtype != DType::kF8E4M3 || !global || !source) return;
    if (ByteCount(target) != kBlocks * ByteCount(other.tensor(source->scales))) return;
    edges->push_back({this,
                      {static_cast<std::byte>(Part::kScales)},
                      {{false, source->scales}, {true, *global}}});
  }

  void DetectCodes(const TensorDesc& target, std::string_view module, const TensorTable& own,
                   const TensorTable& other, std::vector<Edge>* edges) const {
    const auto scales = FindIn(own, module, "weight_scale");
    const auto source = SourceIn(other, module);
    if (target.dtype != DType::kU8 || !scales || !source) return;
    if (own.tensor(*scales).dtype != DType::kF8E4M3) return;
    if (ByteCount(target) != ByteCount(other.tensor(source->codes))) return;
    Edge edge{this, {static_cast<std::byte>(Part::kCodes)}, {{false, source->codes}}};
    edge.follows_chunks = true;
    edges->push_back(std::move(edge));
  }
};

}  // namespace

const Scheme& Mxfp4Cast() {
  static const Mxfp4CastScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
