// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/plan.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/status_macros.h"
#include "io/safetensors.h"
#include "make/gguf/head.h"
#include "make/gguf/mixture_rules.h"
#include "make/gguf/values.h"
#include "qstore/blocks.h"

namespace qstore::make {
namespace {

// llama.cpp gives these another number of layers than their files have.
constexpr std::string_view kOtherLayers[] = {"graniteswitch", "nanbeige"};

Result<std::optional<uint64_t>> NumberOf(const ByteSource& file, const GgufContents& contents,
                                         const std::string& key) {
  const GgufEntry* entry = FindEntry(contents, key);
  if (entry == nullptr) return std::optional<uint64_t>();
  return WholeNumber(file, *entry);
}

Result<MixtureModel> ReadMixtureModel(const ByteSource& file, const GgufContents& contents) {
  const GgufEntry* architecture = FindEntry(contents, "general.architecture");
  if (architecture == nullptr) return InvalidArgument("has no key general.architecture: no model");
  MixtureModel model;
  QSTORE_ASSIGN(auto name, FirstString(file, *architecture));
  model.architecture = std::move(name).value_or("");
  const auto number = [&](const char* key) {
    return NumberOf(file, contents, model.architecture + key);
  };
  QSTORE_ASSIGN(const auto layers, number(".block_count"));
  QSTORE_ASSIGN(const auto experts, number(".expert_count"));
  QSTORE_ASSIGN(const auto heads, number(".attention.head_count"));
  QSTORE_ASSIGN(const auto kv_heads, number(".attention.head_count_kv"));
  if (!layers)
    return InvalidArgument("has no key " + io::QuotedName(model.architecture + ".block_count") +
                           ": no model");
  if (std::find(std::begin(kOtherLayers), std::end(kOtherLayers), model.architecture) !=
      std::end(kOtherLayers)) {
    return InvalidArgument("the mixtures of architecture " + io::QuotedName(model.architecture) +
                           " are not known here");
  }
  model.layers = *layers;
  model.experts = experts.value_or(0);
  model.heads = heads.value_or(0);
  model.kv_heads = kv_heads.value_or(model.heads);
  return model;
}

Status CheckIsWhole(const ByteSource& file, const GgufContents& contents) {
  QSTORE_ASSIGN(const auto parts, NumberOf(file, contents, "split.count"));
  if (parts.value_or(0) <= 1) return {};
  return InvalidArgument("is one of " + std::to_string(*parts) +
                         " parts; join them with llama-gguf-split --merge");
}

bool HasFewBits(DType type) { return DTypeBlock(type) > 1; }

Status CheckChange(const GgufItem& tensor, DType to, const GgufOptions& options) {
  const std::string from_name(DTypeName(tensor.dtype));
  const std::string to_name(DTypeName(to));
  if (!BlockMaker::Reads(tensor.dtype)) {
    return InvalidArgument("the weights of " + from_name + " cannot be read");
  }
  if (HasFewBits(tensor.dtype) && !options.allow_requantize) {
    return InvalidArgument("is " + from_name + " already; --allow-requantize makes it " + to_name +
                           ", with further loss");
  }
  if (tensor.shape.back() % DTypeBlock(to) != 0) {
    return InvalidArgument("has rows of " + std::to_string(tensor.shape.back()) + " weights, and " +
                           to_name + " takes multiples of " + std::to_string(DTypeBlock(to)));
  }
  if (CountedShape(tensor.shape).size() > 3) return InvalidArgument("has four dimensions");
  return {};
}

/// Whether llama.cpp makes no such tensor without importance.
bool NeedsImportance(const GgufItem& tensor, DType to, const GgufTarget& target) {
  const Role role = RoleOf(tensor.name);
  return target.file_type == GgufFileType::kQ2KS && to == DType::kQ2K && role != Role::kEmbedding &&
         role != Role::kOutput;
}

Result<std::span<const float>> ImportanceOf(const GgufItem& tensor, const Importance& importance) {
  const auto found = importance.columns.find(tensor.name);
  if (found == importance.columns.end()) return std::span<const float>();
  const auto shape = CountedShape(tensor.shape);
  const uint64_t matrices = shape.size() > 2 ? shape[shape.size() - 3] : 1;
  const std::vector<float>& columns = found->second;
  if (columns.size() == matrices * shape.back()) return std::span<const float>(columns);
  if (RoleOf(tensor.name) == Role::kEmbedding) return std::span<const float>();
  return InvalidArgument(importance.file + " has " + std::to_string(columns.size()) +
                         " numbers for its " + std::to_string(matrices * shape.back()) +
                         " columns");
}

Status PlanTensor(const GgufModel& model, const GgufTarget& target, const GgufOptions& options,
                  GgufTensorPlan* plan) {
  const GgufItem& tensor = *plan->source;
  const DType to = plan->made.dtype;
  const bool needs_importance = NeedsImportance(tensor, to, target);
  if (plan->is_kept()) return {};
  QSTORE_TRY(CheckChange(tensor, to, options));
  QSTORE_ASSIGN(plan->importance, ImportanceOf(tensor, model.importance));
  if (needs_importance && plan->importance.empty()) {
    return InvalidArgument(std::string(target.name) + " needs importance for it: --imatrix");
  }
  plan->made.byte_size = tensor.byte_size / (DTypeBits(tensor.dtype) / 8) *
                         DTypeBlock(tensor.dtype) / DTypeBlock(to) * (DTypeBits(to) / 8);
  return {};
}

Result<std::vector<DType>> TypesFor(const GgufModel& model, const GgufTarget& target,
                                    const GgufOptions& options) {
  std::vector<MixtureTensor> tensors;
  for (const GgufItem& tensor : model.contents.tensors) {
    tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  const MixtureOptions mixture{target,
                               options.pure,
                               options.keep_output,
                               !model.importance.empty(),
                               options.output_type,
                               options.embedding_type};
  return MixTypes(model.mixture, mixture, tensors);
}

}  // namespace

Result<GgufModel> ReadGgufModel(std::shared_ptr<const ByteSource> file,
                                const std::filesystem::path& importance) {
  GgufModel model;
  model.file = std::move(file);
  QSTORE_ASSIGN(model.contents, ReadGguf(*model.file));
  QSTORE_TRY(CheckIsWhole(*model.file, model.contents));
  QSTORE_ASSIGN(model.mixture, ReadMixtureModel(*model.file, model.contents));
  std::sort(model.contents.tensors.begin(), model.contents.tensors.end(),
            [](const GgufItem& a, const GgufItem& b) { return ComesBefore(a.name, b.name); });
  if (!importance.empty()) {
    QSTORE_ASSIGN(model.importance, ReadImportance(importance));
  }
  return model;
}

Result<GgufPlan> PlanGguf(const GgufModel& model, const GgufTarget& target,
                          const GgufOptions& options) {
  QSTORE_ASSIGN(const auto types, TypesFor(model, target, options));
  GgufPlan plan;
  plan.target = target;
  std::vector<GgufItem> made;
  for (size_t t = 0; t < types.size(); ++t) {
    const GgufItem& source = model.contents.tensors[t];
    GgufTensorPlan tensor{&source, source, {}};
    tensor.made.dtype = types[t];
    const Status status = PlanTensor(model, target, options, &tensor);
    if (!status.ok()) return status.WithContext("tensor " + io::QuotedName(source.name));
    made.push_back(tensor.made);
    plan.tensors.push_back(std::move(tensor));
  }
  if (std::all_of(plan.tensors.begin(), plan.tensors.end(),
                  [](const GgufTensorPlan& tensor) { return tensor.is_kept(); })) {
    return InvalidArgument("every tensor has the type already that " + std::string(target.name) +
                           " gives it");
  }
  QSTORE_ASSIGN(plan.head, MakeGgufHead(*model.file, model.contents, target, model.importance,
                                        &made, &plan.file_size));
  for (size_t t = 0; t < made.size(); ++t) plan.tensors[t].made.begin = made[t].begin;
  return plan;
}

}  // namespace qstore::make
