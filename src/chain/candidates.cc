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

std::vector<CandidateRef> FindCandidates(const TensorDesc& target, const TensorTable& low) {
  std::vector<CandidateRef> found;
  const auto base = low.Find(target.name);
  if (!base || !codec::IsCodedFloat(target.dtype)) return found;
  const TensorDesc parent = low.tensor(*base);
  constexpr std::string_view kWeight = "weight";
  if (IsInt8Twin(target, parent) && target.name.ends_with(kWeight)) {
    std::string name(target.name.substr(0, target.name.size() - kWeight.size()));
    const auto scales = low.Find(name += "SCB");
    if (scales) {
      const TensorDesc scb = low.tensor(*scales);
      if (scb.dtype == DType::kF32 && ElementCount(scb.shape) == target.shape[0]) {
        found.push_back({Relation::kLlmInt8, *base, scales});
      }
    }
  }
  if (codec::IsCodedFloat(parent.dtype) && SameShape(target, parent)) {
    found.push_back({Relation::kCast, *base, std::nullopt});
  }
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
