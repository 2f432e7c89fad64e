// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/mixture.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/status_macros.h"
#include "io/safetensors.h"
#include "make/gguf/mixture_rules.h"

namespace qstore::make {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";
constexpr std::string_view kFalcon = "falcon";
constexpr std::string_view kBailing = "bailingmoe3";
constexpr uint64_t kEight = 8;  // Experts of the models that some rules are made for.

/// The number of a name that begins "blk.N".
std::optional<int64_t> LayerOf(std::string_view name) {
  if (!name.starts_with(kLayerPrefix)) return std::nullopt;
  int64_t layer = 0;
  name.remove_prefix(kLayerPrefix.size());
  const auto done = std::from_chars(name.data(), name.data() + name.size(), layer);
  return done.ec == std::errc() ? std::optional(layer) : std::nullopt;
}

/// Models that llama.cpp calls 70B.
bool Is70B(const MixtureModel& model) {
  const std::string_view name = model.architecture;
  if (name == "llama" || name == "llama-embed") {
    return model.layers == 80 && model.experts != kEight && model.heads != model.kv_heads;
  }
  if (name == "jais2") return model.layers == 68;
  return model.layers == 80 && (name == "qwen2" || name == "deci" || name == "olmo");
}

class Mixer {
 public:
  Mixer(const MixtureModel& model, const MixtureOptions& options,
        std::span<const MixtureTensor> tensors)
      : model_(model), options_(options) {
    const auto has_role = [](Role role) {
      return [role](const MixtureTensor& tensor) { return RoleOf(tensor.name) == role; };
    };
    is_tied_ = std::none_of(tensors.begin(), tensors.end(), has_role(Role::kOutput));
    values_ = static_cast<uint64_t>(
        std::count_if(tensors.begin(), tensors.end(), has_role(Role::kValue)));
    is_grouped_ = model.kv_heads != 0 && model.heads / model.kv_heads >= 4;
  }

  Result<DType> TypeOf(const MixtureTensor& tensor) {
    if (!IsQuantized(tensor)) return tensor.dtype;
    const Role role = RoleOf(tensor.name);
    if (role == Role::kEmbedding && options_.embedding_type) return *options_.embedding_type;
    if (role == Role::kOutput && options_.output_type) return *options_.output_type;
    DType type = options_.target.dtype;
    if (DTypeBlock(type) == 1) return type;  // F16, BF16, F32: no mixtures.
    if (!options_.pure) {
      QSTORE_ASSIGN(type, MixedTypeOf(tensor, role));
    }
    return FittingType(tensor, type);
  }

 private:
  bool IsQuantized(const MixtureTensor& tensor) const {
    // llama.cpp takes any name of five letters for one that ends so.
    const bool is_weight = tensor.name.ends_with("weight") || tensor.name.size() == 5;
    return CountedShape(tensor.shape).size() >= 2 && is_weight && !IsNeverQuantized(tensor.name) &&
           !(options_.keep_output && tensor.name == "output.weight");
  }

  Result<DType> MixedTypeOf(const MixtureTensor& tensor, Role role) {
    const GgufFileType mixture = options_.target.file_type;
    if (role == Role::kOutput || (role == Role::kEmbedding && is_tied_)) {
      return OutputType(tensor);
    }
    if (mixture == GgufFileType::kMxfp4Moe) {
      return IsExperts(tensor, role) ? DType::kMxfp4 : DType::kQ8_0;
    }
    const DType usual = options_.target.dtype;
    const bool is_eight = model_.experts == kEight;
    const bool is_falcon = model_.architecture == kFalcon;
    switch (role) {
      case Role::kValue:
        return ValueType();
      case Role::kKey:
        return is_eight ? DType::kQ8_0 : usual;
      case Role::kAttentionOutput:
        if (is_falcon) return FalconType(mixture, role, {}).value_or(usual);
        if (is_eight) return HasLargeOutputOfEight(mixture) ? DType::kQ5K : usual;
        return MixedType(mixture, role, {}).value_or(usual);
      case Role::kDown: {
        QSTORE_ASSIGN(const uint64_t layer, DownLayer(tensor));
        const MixturePlace place{layer, model_.layers, options_.has_importance, is_grouped_};
        const auto type =
            is_falcon ? FalconType(mixture, role, place) : MixedType(mixture, role, place);
        return type.value_or(usual);
      }
      default:
        return MixedType(mixture, role, {}).value_or(usual);
    }
  }

  DType OutputType(const MixtureTensor& tensor) const {
    if (options_.output_type) return *options_.output_type;
    const DType usual = options_.target.dtype;
    const bool is_whole = tensor.shape.back() % DTypeBlock(usual) == 0;
    if (options_.target.file_type == GgufFileType::kMxfp4Moe || model_.architecture == kFalcon ||
        !is_whole || usual == DType::kQ8_0) {
      return DType::kQ8_0;
    }
    return DType::kQ6K;
  }

  bool IsExperts(const MixtureTensor& tensor, Role role) const {
    const auto shape = CountedShape(tensor.shape);
    if (shape.size() < 3 || shape[shape.size() - 3] <= 1) return false;
    return model_.architecture != kBailing || role == Role::kUp || role == Role::kGate ||
           role == Role::kDown;
  }

  DType ValueType() {
    const MixturePlace place{value_++, values_, options_.has_importance, is_grouped_};
    const DType usual = options_.target.dtype;
    const auto mixed = MixedType(options_.target.file_type, Role::kValue, place);
    const DType type = mixed.value_or(usual);
    if (model_.experts == kEight) return DType::kQ8_0;
    const bool is_small = type == DType::kQ3K || type == DType::kQ4K;
    return is_small && Is70B(model_) ? DType::kQ5K : type;
  }

  /// By its name in a model of experts, else the number of such tensors before.
  Result<uint64_t> DownLayer(const MixtureTensor& tensor) {
    const uint64_t place = down_++;
    if (model_.experts <= 1) return place;
    const auto layer = LayerOf(tensor.name);
    if (!layer || *layer < 0 || static_cast<uint64_t>(*layer) >= model_.layers) {
      return InvalidArgument("its name is of none of the " + std::to_string(model_.layers) +
                             " layers of the model");
    }
    return static_cast<uint64_t>(*layer);
  }

  /// One whose blocks fill the rows.
  static DType FittingType(const MixtureTensor& tensor, DType type) {
    const uint64_t columns = tensor.shape.back();
    if (columns % DTypeBlock(type) == 0) return type;
    const auto other = FallbackOf(type);
    return other && columns % DTypeBlock(*other) == 0 ? *other : DType::kF16;
  }

  const MixtureModel& model_;
  const MixtureOptions& options_;
  bool is_tied_ = false;  // The embedding is the output as well.
  bool is_grouped_ = false;
  uint64_t values_ = 0;
  uint64_t value_ = 0;  // Tensors of this role so far.
  uint64_t down_ = 0;
};

}  // namespace

bool ComesBefore(std::string_view first, std::string_view second) {
  return std::pair(LayerOf(first).value_or(-1), first) <
         std::pair(LayerOf(second).value_or(-1), second);
}

std::span<const uint64_t> CountedShape(std::span<const uint64_t> shape) {
  while (shape.size() > 1 && shape.front() == 1) shape = shape.subspan(1);
  return shape;
}

Result<std::vector<DType>> MixTypes(const MixtureModel& model, const MixtureOptions& options,
                                    std::span<const MixtureTensor> tensors) {
  Mixer mixer(model, options, tensors);
  std::vector<DType> types;
  for (const MixtureTensor& tensor : tensors) {
    const auto type = mixer.TypeOf(tensor);
    if (!type.ok()) return type.status().WithContext("tensor " + io::QuotedName(tensor.name));
    types.push_back(*type);
  }
  return types;
}

}  // namespace qstore::make
