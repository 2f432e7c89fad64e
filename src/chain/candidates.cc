// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>
#include <string>

#include "chain/planner.h"
#include "codec/floating.h"

namespace qstore::chain {
namespace {

uint64_t ElementCount(std::span<const uint64_t> shape) {
  return std::accumulate(shape.begin(), shape.end(), uint64_t{1}, std::multiplies<>());
}

bool SameShape(const TensorDesc& a, const TensorDesc& b) {
  return std::equal(a.shape.begin(), a.shape.end(), b.shape.begin(), b.shape.end());
}

bool IsInt8Twin(const TensorDesc& target, const TensorDesc& low) {
  return low.dtype == DType::kI8 && codec::IsCodedFloat(target.dtype) && target.shape.size() >= 2 &&
         SameShape(target, low);
}

constexpr std::string_view kWeight = "weight";
constexpr std::string_view kQWeight = "qweight";

// "a.b." of "a.b.weight".
std::optional<std::string_view> ModuleOf(std::string_view name, std::string_view tensor) {
  if (!name.ends_with(tensor)) return std::nullopt;
  const std::string_view module = name.substr(0, name.size() - tensor.size());
  if (!module.empty() && module.back() != '.') return std::nullopt;
  return module;
}

std::optional<size_t> FindIn(const TensorTable& table, std::string_view module,
                             std::string_view tensor) {
  std::string name(module);
  return table.Find(name += tensor);
}

struct GptqParts {
  base::GptqShape shape;
  DType scales_dtype = DType::kF16;
  size_t weights = 0;
  size_t scales = 0;
  size_t zeros = 0;
  std::optional<size_t> groups;
};

uint64_t ByteCount(const TensorDesc& tensor) {
  return ElementCount(tensor.shape) * DTypeBits(tensor.dtype) / 8;
}

// The tensors of a module quantized by GPTQ, when their types and shapes fit one another.
std::optional<GptqParts> FindGptqParts(std::string_view module, const TensorTable& table) {
  const auto weights = FindIn(table, module, kQWeight);
  const auto scales = FindIn(table, module, "scales");
  const auto zeros = FindIn(table, module, "qzeros");
  if (!weights || !scales || !zeros) return std::nullopt;
  const TensorDesc weight = table.tensor(*weights);
  const TensorDesc scale = table.tensor(*scales);
  const TensorDesc zero = table.tensor(*zeros);
  if (weight.dtype != DType::kI32 || weight.shape.size() != 2 || zero.dtype != DType::kI32 ||
      !codec::IsCodedFloat(scale.dtype) || scale.shape.size() != 2 ||
      scale.shape[1] != weight.shape[1]) {
    return std::nullopt;
  }
  const auto shape = base::GptqShapeOf(weight.shape[1], ByteCount(weight),
                                       ElementCount(scale.shape), ByteCount(zero));
  if (!shape) return std::nullopt;
  GptqParts parts{*shape, scale.dtype, *weights, *scales, *zeros, FindIn(table, module, "g_idx")};
  if (parts.groups) {
    const TensorDesc groups = table.tensor(*parts.groups);
    if (groups.dtype != DType::kI32 || ElementCount(groups.shape) != shape->inputs) {
      parts.groups.reset();
    }
  }
  if (!parts.groups && shape->inputs % shape->groups != 0) return std::nullopt;
  return parts;
}

void SetParent(const GptqParts& parts, CandidateRef* candidate) {
  candidate->parent_dtype = parts.scales_dtype;
  candidate->parents[kBase] = parts.weights;
  candidate->parents[kScales] = parts.scales;
  candidate->parents[kZeros] = parts.zeros;
  candidate->parents[kGroups] = parts.groups;
}

void AddInt8Twin(const TensorDesc& target, const TensorTable& low,
                 std::vector<CandidateRef>* found) {
  const auto base = low.Find(target.name);
  if (!base || !target.name.ends_with(kWeight) || !IsInt8Twin(target, low.tensor(*base))) return;
  const auto scales =
      FindIn(low, target.name.substr(0, target.name.size() - kWeight.size()), "SCB");
  if (!scales) return;
  const TensorDesc scb = low.tensor(*scales);
  if (scb.dtype != DType::kF32 || ElementCount(scb.shape) != target.shape[0]) return;
  CandidateRef candidate;
  candidate.relation = Relation::kLlmInt8;
  candidate.parent_dtype = DType::kI8;
  candidate.parents[kBase] = base;
  candidate.parents[kScales] = scales;
  found->push_back(candidate);
}

void AddGptqTwin(const TensorDesc& target, const TensorTable& low,
                 std::vector<CandidateRef>* found) {
  const auto module = ModuleOf(target.name, kWeight);
  if (!module || target.shape.size() != 2 ||
      (target.dtype != DType::kBF16 && target.dtype != DType::kF16)) {
    return;
  }
  const auto parts = FindGptqParts(*module, low);
  if (!parts || parts->shape.inputs != target.shape[1] || parts->shape.outputs != target.shape[0]) {
    return;
  }
  CandidateRef candidate;
  candidate.relation = Relation::kGptqFloats;
  SetParent(*parts, &candidate);
  found->push_back(candidate);
}

void AddGptqIntegers(const TensorDesc& target, const TensorTable& own, const TensorTable& low,
                     std::vector<CandidateRef>* found) {
  const auto module = ModuleOf(target.name, kQWeight);
  if (!module) return;
  const auto parent = FindGptqParts(*module, low);
  const auto self = FindGptqParts(*module, own);
  if (!parent || !self || parent->shape.inputs != self->shape.inputs ||
      parent->shape.outputs != self->shape.outputs) {
    return;
  }
  CandidateRef candidate;
  candidate.relation = Relation::kGptqIntegers;
  SetParent(*parent, &candidate);
  candidate.own_dtype = self->scales_dtype;
  candidate.parents[kOwnScales] = self->scales;
  candidate.parents[kOwnZeros] = self->zeros;
  candidate.parents[kOwnGroups] = self->groups;
  found->push_back(candidate);
}

// Scales of GPTQ tensors stay without parents, since only such ones may be parents themselves.
void AddCast(const TensorDesc& target, const TensorTable& own, const TensorTable& low,
             std::vector<CandidateRef>* found) {
  const auto base = low.Find(target.name);
  if (!base || !codec::IsCodedFloat(target.dtype)) return;
  const TensorDesc parent = low.tensor(*base);
  if (!codec::IsCodedFloat(parent.dtype) || !SameShape(target, parent)) return;
  const auto module = ModuleOf(target.name, "scales");
  if (module && FindIn(own, *module, kQWeight)) return;
  CandidateRef candidate;
  candidate.relation = Relation::kCast;
  candidate.parent_dtype = parent.dtype;
  candidate.parents[kBase] = base;
  found->push_back(candidate);
}

// Names and types by which quantized checkpoints are known: the share of bytes in types of at most
// eight bits, or in packed words, tells them from others.
bool IsQuantizedTensor(const TensorDesc& tensor) {
  return DTypeBits(tensor.dtype) <= 8 || tensor.name.ends_with("qweight") ||
         tensor.name.ends_with("weight_packed");
}

struct Rank {
  bool quantized = false;
  double bits = 0;
};

Rank RankOf(const TensorTable& variant) {
  double bits = 0;
  double quantized_bits = 0;
  for (size_t i = 0; i < variant.size(); ++i) {
    const TensorDesc tensor = variant.tensor(i);
    const double own = static_cast<double>(ElementCount(tensor.shape)) * DTypeBits(tensor.dtype);
    bits += own;
    if (IsQuantizedTensor(tensor)) quantized_bits += own;
  }
  return {quantized_bits > 0.05 * bits, bits};
}

}  // namespace

ObjectSpec SpecFor(DType dtype, std::span<const uint64_t> shape, uint64_t byte_size, Level level) {
  ObjectSpec spec;
  spec.byte_size = byte_size;
  const unsigned bits = DTypeBits(dtype);
  if (bits % 8 == 0 && byte_size % (bits / 8) == 0) {
    spec.dtype = dtype;
    // The rows of a convolution are its output channels, which quantizers scale one by one.
    const auto row = shape.size() > 1 ? shape.subspan(1) : shape;
    spec.row_elems = std::max<uint64_t>(1, ElementCount(row));
  }
  const bool is_modelled = spec.dtype == DType::kI8 || codec::IsCodedFloat(spec.dtype);
  const bool has_rows = is_modelled && shape.size() > 1;
  spec.chunk_elems = ChooseChunkElems(spec.row_elems, has_rows ? level : Level::kBalanced);
  return spec;
}

std::optional<base::GptqShape> FindGptqShape(const TensorDesc& target, const TensorTable& own) {
  const auto module = ModuleOf(target.name, kQWeight);
  if (!module) return std::nullopt;
  const auto parts = FindGptqParts(*module, own);
  if (!parts) return std::nullopt;
  return parts->shape;
}

std::vector<CandidateRef> FindCandidates(const TensorDesc& target, const TensorTable& own,
                                         const TensorTable& low) {
  std::vector<CandidateRef> found;
  AddInt8Twin(target, low, &found);
  AddGptqTwin(target, low, &found);
  AddGptqIntegers(target, own, low, &found);
  AddCast(target, own, low, &found);
  return found;
}

std::vector<size_t> OrderVariants(std::span<const TensorTable* const> variants) {
  std::vector<Rank> ranks;
  for (const TensorTable* variant : variants) ranks.push_back(RankOf(*variant));
  std::vector<size_t> order(variants.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (ranks[a].quantized != ranks[b].quantized) return ranks[a].quantized;
    return ranks[a].bits < ranks[b].bits;
  });
  return order;
}

}  // namespace qstore::chain
