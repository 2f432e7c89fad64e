// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "registry/weights.h"
#include "scheme/ggml/block_values.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/ggml/search/search.h"
#include "scheme/object_spec.h"

// Blocks of ggml and the weights that they are made of, for every way in which they may follow.

namespace qstore::testing {

/// How a child follows from its parents.
struct GgmlKind {
  DType child = DType::kQ4K;
  DType parent = DType::kBF16;
  bool is_replayed = false;
  uint64_t importance = 0;  ///< Counts, or none.
  bool has_calls = false;   ///< In place of counts.
  uint64_t matrices = 1;
  uint64_t head_rows = 0;
  scheme::ggml::Via via = scheme::ggml::Via::kNone;
  bool plus_one = false;
  bool is_transposed = false;
  bool cuts_rows = false;  ///< Chunks end within rows.
  double odd = 0;          ///< The share of the child's blocks that have a byte of their own.

  std::string name() const {
    std::string name(DTypeName(child));
    name.append("From").append(DTypeName(parent)).append(is_replayed ? "Made" : "");
    if (importance > 0) name += "Importance" + std::to_string(importance);
    if (has_calls) name += "Calls";
    if (matrices > 1) name += "Matrices";
    if (head_rows > 0) name += "Heads";
    if (via != scheme::ggml::Via::kNone) name += "Via";
    if (plus_one) name += "PlusOne";
    if (is_transposed) name += "Transposed";
    if (cuts_rows) name += "Cut";
    return odd > 0 ? name + "Odd" : name;
  }
};

/// Objects of such a kind.
struct GgmlFamily {
  static constexpr uint64_t kRows = 48;
  static constexpr uint64_t kColumns = 512;

  scheme::ggml::GgmlParams params;
  scheme::ObjectSpec spec;
  std::vector<std::byte> content;
  std::vector<scheme::ObjectSpec> specs;
  std::vector<std::vector<std::byte>> parents;
};

namespace ggml_family {

inline std::vector<std::byte> Blocks(DType type, const std::vector<float>& weights,
                                     const std::vector<float>& importance = {}) {
  const auto scratch = std::make_unique<scheme::ggml::SearchScratch>();
  std::vector<std::byte> out(weights.size() / DTypeBlock(type) * DTypeBits(type) / 8);
  scheme::ggml::QuantizeRows(type, weights, GgmlFamily::kColumns, importance, out, scratch.get());
  return out;
}

inline std::vector<std::byte> Stored(DType type, const std::vector<float>& weights) {
  if (DTypeBlock(type) > 1) return Blocks(type, weights);
  std::vector<std::byte> bytes;
  for (const float w : weights) AppendPattern(type, w, &bytes);
  return bytes;
}

inline scheme::ObjectSpec Spec(DType type, const std::vector<std::byte>& content, uint64_t rows) {
  scheme::ObjectSpec spec;
  spec.dtype = type;
  spec.byte_size = content.size();
  spec.row_elems = GgmlFamily::kColumns / DTypeBlock(type);
  spec.chunk_elems = rows * spec.row_elems;
  return spec;
}

// The weights of the child, row by row, by the definition.
inline std::vector<float> WeightsOfChild(const GgmlKind& kind, const std::vector<float>& values) {
  std::vector<float> weights(values.size());
  const uint64_t columns = GgmlFamily::kColumns;
  for (uint64_t i = 0; i < values.size(); ++i) {
    uint64_t from = i;
    if (kind.head_rows > 0) {
      const uint64_t row = i / columns % kind.head_rows;
      const uint64_t head = i / columns / kind.head_rows;
      const uint64_t place = row % 2 * (kind.head_rows / 2) + row / 2;
      from = (head * kind.head_rows + place) * columns + i % columns;
    }
    if (kind.is_transposed) from = i % columns * GgmlFamily::kRows + i / columns;
    float w = values[from];
    if (kind.via == scheme::ggml::Via::kF16) w = base::Fp16ToFloat(base::FloatToFp16(w));
    if (kind.via == scheme::ggml::Via::kBF16) w = base::Bf16ToFloat(base::FloatToBf16(w));
    weights[i] = kind.plus_one ? w + 1.0f : w;
  }
  return weights;
}

inline std::vector<std::byte> Content(const GgmlKind& kind, const std::vector<float>& weights,
                                      const std::vector<float>& importance) {
  if (kind.importance == 0) return Stored(kind.child, weights);
  std::vector<std::byte> content;
  const uint64_t per_part = weights.size() / kind.importance;
  for (uint64_t part = 0; part < kind.importance; ++part) {
    const auto first = weights.begin() + static_cast<ptrdiff_t>(part * per_part);
    const auto columns = importance.begin() + static_cast<ptrdiff_t>(part * GgmlFamily::kColumns);
    const auto blocks = Blocks(kind.child, {first, first + static_cast<ptrdiff_t>(per_part)},
                               {columns, columns + static_cast<ptrdiff_t>(GgmlFamily::kColumns)});
    content.insert(content.end(), blocks.begin(), blocks.end());
  }
  return content;
}

// Of columns whose sums are `sums`.
inline std::vector<float> Importance(const GgmlKind& kind, const std::vector<float>& sums,
                                     const std::vector<float>& counts) {
  std::vector<float> importance;
  for (size_t i = 0; i < sums.size(); ++i) {
    const float count = kind.has_calls ? 3 : counts[i / GgmlFamily::kColumns];
    importance.push_back(count > 0 ? sums[i] / count : 1);
  }
  return importance;
}

}  // namespace ggml_family

/// Two chunks or three, of whole heads or not.
inline GgmlFamily MakeGgml(const GgmlKind& kind, uint32_t seed = 5) {
  using namespace ggml_family;  // NOLINT
  GgmlFamily family;
  constexpr uint64_t kCount = GgmlFamily::kRows * GgmlFamily::kColumns;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  std::vector<float> values;
  const uint64_t per_matrix = kCount / kind.matrices;
  for (uint64_t m = 0; m < kind.matrices; ++m) {
    std::vector<float> drawn(per_matrix);
    for (float& w : drawn) w = normal(random);
    family.parents.push_back(Stored(kind.parent, drawn));
    scheme::ggml::ValueScratch scratch;
    scheme::ggml::ValuesOf(kind.parent, family.parents.back(), &scratch, drawn);
    values.insert(values.end(), drawn.begin(), drawn.end());
    family.specs.push_back(Spec(kind.parent, family.parents.back(), 20));
  }
  std::vector<float> importance;
  if (kind.importance > 0) {
    std::vector<float> sums(kind.importance * GgmlFamily::kColumns), counts(kind.importance);
    for (float& s : sums) s = std::fabs(normal(random));
    for (size_t m = 0; m < counts.size(); ++m) counts[m] = m == 1 ? 0 : static_cast<float>(3 + m);
    importance = Importance(kind, sums, counts);
    for (const auto* side : {&sums, &counts}) {
      family.parents.push_back(Stored(DType::kF32, *side));
      family.specs.push_back(Spec(DType::kF32, family.parents.back(), 1));
    }
    if (kind.has_calls) {
      family.parents.back() = {std::byte{3}, std::byte{0}, std::byte{0}, std::byte{0}};
      family.specs.back() = Spec(DType::kI32, family.parents.back(), 1);
    }
  }
  family.content = Content(kind, WeightsOfChild(kind, values), importance);
  family.spec = Spec(kind.child, family.content, 20);
  if (kind.cuts_rows) family.spec.chunk_elems = 37 * 256 / DTypeBlock(kind.child);
  const uint64_t size = DTypeBits(kind.child) / 8;
  for (uint64_t b = 0; b < family.content.size() / size; ++b) {
    if (std::uniform_real_distribution<double>()(random) >= kind.odd) continue;
    family.content[b * size + random() % size] ^=
        std::byte{static_cast<uint8_t>(1 + random() % 255)};
  }
  family.params.is_replayed = kind.is_replayed;
  family.params.has_importance = kind.importance > 0;
  family.params.counts_are_calls = kind.has_calls;
  family.params.plus_one = kind.plus_one;
  family.params.is_transposed = kind.is_transposed;
  family.params.via = kind.via;
  family.params.parent_dtype = kind.parent;
  family.params.columns = GgmlFamily::kColumns;
  family.params.matrices = kind.matrices;
  family.params.head_rows = kind.head_rows;
  return family;
}

/// Children of matrices that lie by columns.
inline void AddTransposed(std::vector<GgmlKind>* kinds) {
  using scheme::ggml::Via;
  const auto add = [kinds](GgmlKind kind) {
    kind.is_transposed = true;
    kinds->push_back(kind);
  };
  for (const DType parent : {DType::kF32, DType::kF16, DType::kBF16}) {
    add({.child = DType::kQ8_0, .parent = parent, .is_replayed = true, .odd = 0.1});
    add({.child = DType::kQ4K, .parent = parent, .odd = 0.1});
    add({.child = DType::kQ6K, .parent = parent, .cuts_rows = true});
    add({.child = DType::kF16, .parent = parent, .via = Via::kBF16, .odd = 0.001});
    add({.child = DType::kF32, .parent = parent, .cuts_rows = true});
  }
  add({.is_replayed = true, .importance = 1});
  add({.is_replayed = true, .importance = 1, .has_calls = true});
  add({.child = DType::kQ3K, .parent = DType::kF32, .is_replayed = true, .via = Via::kF16});
}

/// Every type of child by what it may follow from.
inline std::vector<GgmlKind> GgmlKinds() {
  std::vector<GgmlKind> kinds;
  using scheme::ggml::Via;
  for (unsigned t = static_cast<unsigned>(DType::kQ4_0); t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    for (const double odd : {0.0, 0.3}) {
      if (scheme::ggml::IsSearched(type)) {
        kinds.push_back({.child = type, .is_replayed = true, .odd = odd});
        kinds.push_back({.child = type, .parent = DType::kF32, .is_replayed = true, .odd = odd});
      }
      if (scheme::ggml::GridOfBlocks(type) == nullptr) continue;
      kinds.push_back({.child = type, .odd = odd});
      kinds.push_back({.child = type, .parent = DType::kF16, .head_rows = 8, .odd = odd});
    }
  }
  kinds.push_back({.is_replayed = true, .importance = 1, .odd = 0.1});
  kinds.push_back({.child = DType::kQ3K, .is_replayed = true, .importance = 3, .matrices = 3});
  kinds.push_back({.child = DType::kIq4Xs, .is_replayed = true, .importance = 6});
  kinds.push_back({.is_replayed = true, .importance = 1, .has_calls = true, .odd = 0.1});
  kinds.push_back({.child = DType::kQ6K, .is_replayed = true, .importance = 4, .has_calls = true});
  kinds.push_back({.child = DType::kQ6K, .is_replayed = true, .matrices = 4, .odd = 0.1});
  kinds.push_back({.child = DType::kQ8_0, .parent = DType::kF32, .matrices = 6, .odd = 0.1});
  kinds.push_back({.is_replayed = true, .head_rows = 16, .via = Via::kF16});
  kinds.push_back({.parent = DType::kF32, .is_replayed = true, .via = Via::kBF16});
  for (const DType parent : {DType::kQ8_0, DType::kQ6K, DType::kQ5K, DType::kNvfp4}) {
    kinds.push_back({.child = DType::kQ4K, .parent = parent});
    kinds.push_back({.child = DType::kQ4_0, .parent = parent, .is_replayed = true});
    kinds.push_back({.child = DType::kQ3K, .parent = parent, .head_rows = 4, .odd = 0.1});
  }
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    kinds.push_back({.child = type, .parent = DType::kBF16, .head_rows = 8, .odd = 0.001});
    kinds.push_back({.child = type, .parent = DType::kF32, .plus_one = true, .odd = 0.001});
    kinds.push_back({.child = type, .parent = DType::kF16, .matrices = 3});
  }
  AddTransposed(&kinds);
  return kinds;
}

}  // namespace qstore::testing
