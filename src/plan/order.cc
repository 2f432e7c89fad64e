// SPDX-License-Identifier: Apache-2.0
#include "plan/order.h"

#include <algorithm>
#include <numeric>

#include "scheme/registry.h"

namespace qstore::plan {
namespace {

using scheme::TensorDesc;
using scheme::TensorTable;

// The share of bytes in types of at most eight bits, or in words that some scheme packs, tells
// quantized checkpoints from others.
bool IsQuantizedTensor(const TensorDesc& tensor) {
  if (DTypeBits(tensor.dtype) <= 8 || DTypeBlock(tensor.dtype) > 1) return true;
  const auto schemes = scheme::Schemes();
  return std::any_of(schemes.begin(), schemes.end(),
                     [&](const scheme::Scheme* s) { return s->IsQuantized(tensor); });
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
    const double own = static_cast<double>(scheme::ElementCount(tensor.shape)) *
                       DTypeBits(tensor.dtype) / DTypeBlock(tensor.dtype);
    bits += own;
    if (IsQuantizedTensor(tensor)) quantized_bits += own;
  }
  return {quantized_bits > 0.05 * bits, bits};
}

}  // namespace

std::vector<size_t> OrderVariants(std::span<const TensorTable* const> variants) {
  std::vector<Rank> ranks;
  ranks.reserve(variants.size());
  for (const TensorTable* variant : variants) ranks.push_back(RankOf(*variant));
  std::vector<size_t> order(variants.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    if (ranks[a].quantized != ranks[b].quantized) return ranks[a].quantized;
    return ranks[a].bits < ranks[b].bits;
  });
  return order;
}

}  // namespace qstore::plan
