// SPDX-License-Identifier: Apache-2.0
#include "analyze/levels.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <optional>

#include "base/status_macros.h"
#include "io/model_tree.h"
#include "scheme/gptq/gptq_shape.h"

namespace qstore::analyze {
namespace {

std::string ShapeText(const io::SafetensorsTensor& tensor) {
  std::string text(DTypeName(tensor.dtype));
  text += " [";
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(tensor.shape[i]);
  }
  return text + "]";
}

Status Refuse(const std::string& name, const TensorAt& tensor, const std::string& rule) {
  return InvalidArgument(tensor.file->path().string() + ": " + io::QuotedName(name) + " is " +
                         ShapeText(tensor.tensor) + ", " + rule);
}

std::optional<TensorAt> Find(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  if (found == tensors.end()) return std::nullopt;
  return found->second;
}

bool IsMatrix(const TensorAt& tensor, uint64_t rows, uint64_t columns) {
  return tensor.tensor.shape == std::vector<uint64_t>{rows, columns};
}

Status SetShape(const TensorAt& weight, Level* level) {
  const auto& shape = weight.tensor.shape;
  level->outs = shape[0];
  level->ins = std::accumulate(shape.begin() + 1, shape.end(), uint64_t{1}, std::multiplies<>());
  if (level->outs == 0 || level->ins == 0) return Refuse(weight.tensor.name, weight, "empty");
  return {};
}

Result<Level> FloatLevel(const TensorAt& weight) {
  Level level;
  level.weight = weight;
  QSTORE_TRY(SetShape(weight, &level));
  return level;
}

Result<Level> Int8Level(const TensorMap& tensors, const std::string& module,
                        const TensorAt& weight) {
  Level level;
  level.form = LevelForm::kLlmInt8;
  level.bits = 8;
  level.weight = weight;
  QSTORE_TRY(SetShape(weight, &level));
  level.scales = Find(tensors, module + ".SCB");
  if (!level.scales) return Refuse(weight.tensor.name, weight, "but there is no SCB beside it");
  if (level.scales->tensor.dtype != DType::kF32 || level.scales->byte_size() != 4 * level.outs) {
    return Refuse(module + ".SCB", *level.scales,
                  "not F32 with " + std::to_string(level.outs) + " scales");
  }
  level.format = Find(tensors, module + ".weight_format");
  return level;
}

// The number of inputs, from the tensors that tell it: g_idx has one entry for each, the zero
// points are as wide as the weights.
Status SetGptqShape(const std::string& module, Level* level) {
  const auto& qweight = level->weight.tensor;
  if (qweight.dtype != DType::kI32 || qweight.shape.size() != 2) {
    return Refuse(module + ".qweight", level->weight, "not I32 with two dimensions");
  }
  level->outs = qweight.shape[1];
  const uint64_t words = qweight.shape[0];
  if (level->outs == 0 || words == 0) return Refuse(qweight.name, level->weight, "empty");
  uint64_t bits = 0;
  if (level->g_idx) {
    const auto& g_idx = level->g_idx->tensor;
    if (g_idx.dtype != DType::kI32 || g_idx.shape.size() != 1 || g_idx.shape[0] == 0) {
      return Refuse(g_idx.name, *level->g_idx, "not I32 with one group for each input");
    }
    level->ins = g_idx.shape[0];
    bits = words * 32 / level->ins;
  } else {
    if (level->zeros) bits = level->zeros->byte_size() * 8 / (level->groups * level->outs);
    if (scheme::IsGptqBits(bits)) level->ins = words * 32 / bits;
  }
  if (!scheme::IsGptqBits(bits) || level->ins * bits != words * 32) {
    return Refuse(qweight.name, level->weight,
                  "which is not inputs * bits / 32 words for 2, 3, 4 or 8 bits");
  }
  level->bits = static_cast<unsigned>(bits);
  return {};
}

Status CheckZeros(const std::string& module, const Level& level) {
  if (!level.zeros) return {};
  const uint64_t words = level.outs * level.bits / 32;
  if (level.zeros->tensor.dtype == DType::kI32 && IsMatrix(*level.zeros, level.groups, words)) {
    return {};
  }
  return Refuse(module + ".qzeros", *level.zeros,
                "not I32 [" + std::to_string(level.groups) + ", " + std::to_string(words) + "]");
}

Result<Level> GptqLevel(const TensorMap& tensors, const std::string& module,
                        const TensorAt& weight) {
  Level level;
  level.form = LevelForm::kGptq;
  level.weight = weight;
  level.scales = Find(tensors, module + ".scales");
  level.zeros = Find(tensors, module + ".qzeros");
  level.g_idx = Find(tensors, module + ".g_idx");
  if (!level.scales) return Refuse(weight.tensor.name, weight, "but there are no scales beside it");
  const auto& scales = level.scales->tensor;
  const bool floats =
      scales.dtype == DType::kF16 || scales.dtype == DType::kBF16 || scales.dtype == DType::kF32;
  if (!floats || scales.shape.size() != 2 || scales.shape[0] == 0) {
    return Refuse(scales.name, *level.scales, "not floats [groups, outputs]");
  }
  level.groups = scales.shape[0];
  QSTORE_TRY(SetGptqShape(module, &level));
  if (scales.shape[1] != level.outs || level.groups > level.ins) {
    return Refuse(scales.name, *level.scales,
                  "not [groups, " + std::to_string(level.outs) + "] with at most " +
                      std::to_string(level.ins) + " groups");
  }
  QSTORE_TRY(CheckZeros(module, level));
  return level;
}

}  // namespace

std::string_view ModuleOf(std::string_view name, const TensorAt& tensor) {
  for (const std::string_view suffix : {".qweight", ".weight"}) {
    if (!name.ends_with(suffix)) continue;
    if (suffix == ".weight" && tensor.tensor.shape.size() < 2) return {};
    return name.substr(0, name.size() - suffix.size());
  }
  return {};
}

Result<TensorMap> ReadTensors(const std::filesystem::path& path) {
  QSTORE_ASSIGN(auto files, io::ListModelFiles(path));
  std::erase_if(files, [](const io::ModelFile& file) { return file.is_directory; });
  TensorMap tensors;
  for (const io::ModelFile& listed : files) {
    if (!listed.path.ends_with(".safetensors")) continue;
    QSTORE_ASSIGN(const auto file, io::SourceFile::OpenOnDemand(listed.source));
    auto header = io::ReadSafetensorsHeader(*file);
    if (!header.ok()) return header.status().WithContext(listed.source.string());
    for (io::SafetensorsTensor& tensor : header->tensors) {
      const std::string name = tensor.name;
      tensors.emplace(name, TensorAt{file, std::move(tensor)});
    }
  }
  return tensors;
}

Result<Level> FindLevel(const TensorMap& tensors, const std::string& module) {
  if (const auto packed = Find(tensors, module + ".qweight")) {
    return GptqLevel(tensors, module, *packed);
  }
  const auto weight = Find(tensors, module + ".weight");
  if (!weight) return InvalidArgument("no " + io::QuotedName(module + ".weight"));
  if (weight->tensor.shape.size() < 2) {
    return Refuse(weight->tensor.name, *weight, "not a matrix");
  }
  switch (weight->tensor.dtype) {
    case DType::kBF16:
    case DType::kF16:
      return FloatLevel(*weight);
    case DType::kI8:
      return Int8Level(tensors, module, *weight);
    default:
      return Refuse(weight->tensor.name, *weight, "neither BF16, F16, LLM.int8() nor GPTQ");
  }
}

}  // namespace qstore::analyze
