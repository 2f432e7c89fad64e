// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/ggml.h"

#include <algorithm>
#include <optional>
#include <string>

#include "base/status_macros.h"
#include "codec/floating.h"
#include "scheme/checks.h"
#include "scheme/ggml/block_grid.h"
#include "scheme/ggml/block_values.h"
#include "scheme/ggml/ggml_bound.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/ggml/search/search.h"
#include "scheme/ggml/tensor_names.h"

namespace qstore::scheme {
namespace {

using ggml::GgmlParams;
using ggml::Via;

double BitsPerWeight(DType dtype) { return double{1} * DTypeBits(dtype) / DTypeBlock(dtype); }

// Those of a tensor in an importance matrix: sums of squares of what columns are multiplied with,
// and how many each sum has.
constexpr std::string_view kSums = ".in_sum2";
constexpr std::string_view kCounts = ".counts";
// In the older form: what becomes means when it is divided by the number of calls.
constexpr std::string_view kValues = ".values";
constexpr std::string_view kCalls = ".calls";

// Blocks that rounding alone makes, whatever the importance of columns.
bool IsAlwaysRounded(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
    case DType::kMxfp4:
    case DType::kNvfp4:
    case DType::kTq1_0:
    case DType::kTq2_0:
      return true;
    default:
      return false;
  }
}

// And those that it makes where importance is not known. It takes little time.
bool IsRounded(DType dtype) {
  return IsAlwaysRounded(dtype) || dtype == DType::kQ4_0 || dtype == DType::kQ4_1 ||
         dtype == DType::kQ5_0 || dtype == DType::kQ5_1;
}

std::span<const uint64_t> Trimmed(std::span<const uint64_t> shape) {
  while (!shape.empty() && shape.front() == 1) shape = shape.subspan(1);
  return shape;
}

bool SameWeights(const TensorDesc& a, const TensorDesc& b) {
  const auto x = Trimmed(a.shape);
  const auto y = Trimmed(b.shape);
  return std::equal(x.begin(), x.end(), y.begin(), y.end());
}

// Where both sides are equal names tell: else every square matrix would be tried both ways.
bool MayBeTransposed(const TensorDesc& target, const TensorDesc& weights) {
  const auto x = Trimmed(target.shape);
  const auto y = Trimmed(weights.shape);
  if (DTypeBlock(weights.dtype) > 1 || x.size() != 2 || y.size() != 2) return false;
  return x[0] == y[1] && x[1] == y[0] && (x[0] != x[1] || ggml::IsLikeConv1d(weights.name));
}

/// The edges into one target.
class EdgeMaker {
 public:
  EdgeMaker(const Scheme& scheme, const TensorDesc& target, const TensorTable& own,
            const TensorTable& other, std::vector<Edge>* edges)
      : scheme_(scheme), target_(target), own_(own), other_(other), edges_(*edges) {}

  /// Edges with the importance of columns that `side` has, if any.
  void UseSide(const TensorTable& side) {
    UseSums(side, kSums, kCounts, DType::kF32);
    if (has_side()) return;
    UseSums(side, kValues, kCalls, DType::kI32);
    counts_are_calls_ = has_side();
  }
  bool has_side() const { return !importance_.empty(); }

  /// From a matrix for each of the target's, which has one dimension more.
  void AddFromEach(const std::vector<size_t>& matrices) {
    const TensorDesc weights = other_.tensor(matrices[0]);
    const TensorDesc slice{target_.name, target_.dtype, target_.shape.subspan(1)};
    for (const size_t matrix : matrices) {
      const TensorDesc each = other_.tensor(matrix);
      if (each.dtype != weights.dtype || !SameWeights(slice, each)) return;
    }
    if (!ggml::HasValues(weights.dtype) || DTypeBlock(weights.dtype) > 1) return;
    GgmlParams params;
    params.parent_dtype = weights.dtype;
    params.columns = target_.shape.back();
    params.matrices = matrices.size();
    further_.assign(matrices.begin() + 1, matrices.end());
    if (DTypeBlock(target_.dtype) == 1) {
      Add(matrices[0], params, Level::kFast);
    } else {
      AddBlocks(matrices[0], params);
    }
    further_.clear();
  }

  void AddFrom(size_t parent) {
    const TensorDesc weights = other_.tensor(parent);
    if (!ggml::HasValues(weights.dtype)) return;
    GgmlParams params;
    params.parent_dtype = weights.dtype;
    params.columns = target_.shape.empty() ? 1 : target_.shape.back();
    if (SameWeights(target_, weights)) AddMatrix(parent, params);
    params.is_transposed = true;
    if (MayBeTransposed(target_, weights)) AddMatrix(parent, params);
  }

 private:
  void UseSums(const TensorTable& side, std::string_view sums_end, std::string_view counts_end,
               DType of_counts) {
    const std::string name(target_.name);
    const auto sums = side.Find(name + std::string(sums_end));
    const auto counts = side.Find(name + std::string(counts_end));
    if (!sums || !counts) return;
    if (side.tensor(*sums).dtype != DType::kF32 || side.tensor(*counts).dtype != of_counts) return;
    importance_ = {{false, *sums, true}, {false, *counts, true}};
  }

  void AddMatrix(size_t parent, GgmlParams params) {
    const TensorDesc weights = other_.tensor(parent);
    const bool is_block = DTypeBlock(target_.dtype) > 1;
    const bool of_blocks = DTypeBlock(weights.dtype) > 1;
    // What has lost more tells of what has lost less, but not the other way round.
    if (of_blocks && BitsPerWeight(weights.dtype) <= BitsPerWeight(target_.dtype)) return;
    is_fallback_ = of_blocks;
    if (!is_block) {
      AddFloats(parent, params);
      return;
    }
    for (const uint64_t head_rows : HeadRows(weights, params)) {
      params.head_rows = head_rows;
      AddBlocks(parent, params);
    }
  }

  void AddFloats(size_t parent, GgmlParams params) {
    if (is_fallback_) return;
    const bool is_matrix = target_.shape.size() > 1;
    for (const uint64_t head_rows : HeadRows(other_.tensor(parent), params)) {
      params.head_rows = head_rows;
      Add(parent, params, Level::kFast);
      params.plus_one = true;
      if (!is_matrix) Add(parent, params, Level::kFast);
      params.plus_one = false;
    }
  }

  void AddBlocks(size_t parent, GgmlParams params) {
    const bool is_fast = IsRounded(target_.dtype) && !has_side();
    const Level replayed_from = is_fast ? Level::kFast : Level::kMax;
    if (ggml::IsSearched(target_.dtype)) {
      params.is_replayed = true;
      params.has_importance = has_side();
      params.counts_are_calls = counts_are_calls_;
      for (const Via via : ViasFrom(params.parent_dtype)) {
        params.via = via;
        Add(parent, params, replayed_from);
      }
      params.via = Via::kNone;
      params.is_replayed = false;
      params.has_importance = params.counts_are_calls = false;
    }
    if (has_side() || ggml::GridOfBlocks(target_.dtype) == nullptr) return;
    Add(parent, params, Level::kFast);
    // Of F32 the rounding between moves many codes, of BF16 those of tiny weights alone.
    if (params.parent_dtype != DType::kF32) return;
    for (const Via via : {Via::kF16, Via::kBF16}) {
      params.via = via;
      Add(parent, params, Level::kFast);
    }
  }

  // Types that a file of 16 bits between the two may have had.
  static std::vector<Via> ViasFrom(DType dtype) {
    if (dtype == DType::kF32) return {Via::kNone, Via::kF16, Via::kBF16};
    if (dtype == DType::kBF16) return {Via::kNone, Via::kF16};
    return {Via::kNone};
  }

  // Of which heads rows may have changed their places: as the file says, or as is usual.
  std::vector<uint64_t> HeadRows(const TensorDesc& weights, const GgmlParams& params) const {
    std::vector<uint64_t> found = {0};
    if (params.is_transposed) return found;
    const std::string_view part = ggml::BlockPartOf(target_.name);
    const bool is_q = part == "attn_q";
    if ((!is_q && part != "attn_k") || weights.name == target_.name || target_.shape.empty()) {
      return found;
    }
    const uint64_t rows = target_.shape[0];
    const auto heads = own_.Number(is_q ? "attention.head_count" : "attention.head_count_kv");
    if (heads && *heads > 0 && rows % *heads == 0 && rows / *heads % 2 == 0) {
      found.push_back(rows / *heads);
    } else if (!heads) {
      for (const uint64_t usual : {uint64_t{64}, uint64_t{128}, uint64_t{96}, uint64_t{256}}) {
        if (rows % usual == 0) found.push_back(usual);
      }
    }
    return found;
  }

  void Add(size_t parent, const GgmlParams& given, Level from) {
    GgmlParams params = given;
    // Rows of biases have one element each.
    if (target_.shape.size() == 1 && params.head_rows != 0) params.columns = 1;
    Edge edge{&scheme_, WriteGgmlParams(params), {{false, parent}}};
    for (const size_t matrix : further_) edge.parents.push_back({false, matrix});
    if (params.has_importance) {
      edge.parents.insert(edge.parents.end(), importance_.begin(), importance_.end());
    }
    edge.from_level = from;
    edge.is_fallback = is_fallback_;
    edges_.push_back(std::move(edge));
  }

  const Scheme& scheme_;
  const TensorDesc& target_;
  const TensorTable& own_;
  const TensorTable& other_;
  std::vector<Edge>& edges_;
  std::vector<ParentRef> importance_;
  bool counts_are_calls_ = false;
  std::vector<size_t> further_;  // Matrices behind the first.
  bool is_fallback_ = false;
};

// Parents: the weights; with importance also sums of squares and counts. Parameters: see
// GgmlParams.
class GgmlScheme final : public Scheme {
 public:
  SchemeId id() const override { return 15; }
  std::string_view name() const override { return "ggml-blocks"; }

  void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    const bool is_block = DTypeBlock(target.dtype) > 1;
    if (!is_block && !codec::IsCodedFloat(target.dtype)) return;
    EdgeMaker maker(*this, target, own, other, edges);
    AddExperts(target, other, &maker);
    for (const size_t parent : ggml::TensorsLike(target.name, other)) {
      // Floats of equal names are casts.
      if (!is_block && other.tensor(parent).name == target.name) continue;
      maker.AddFrom(parent);
    }
  }

  bool IsSide(const TensorTable& table) const override {
    for (size_t i = 0; i < table.size(); ++i) {
      const std::string_view name = table.tensor(i).name;
      if (name.ends_with(kSums) || name.ends_with(kCalls)) return true;
    }
    return false;
  }
  void DetectWith(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
                  const TensorTable& side, std::vector<Edge>* edges) const override {
    if (!ggml::IsSearched(target.dtype) || IsAlwaysRounded(target.dtype)) return;
    EdgeMaker maker(*this, target, own, other, edges);
    maker.UseSide(side);
    if (!maker.has_side()) return;
    AddExperts(target, other, &maker);
    for (const size_t parent : ggml::TensorsLike(target.name, other)) maker.AddFrom(parent);
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> bytes) const override {
    QSTORE_ASSIGN(const GgmlParams params, ggml::ReadGgmlParams(bytes));
    QSTORE_TRY(CheckCounts(parents, params.matrices + (params.has_importance ? 2 : 0), bytes,
                           bytes.size()));
    return ggml::BindGgml(child, parents, params);
  }

 private:
  static void AddExperts(const TensorDesc& target, const TensorTable& other, EdgeMaker* maker) {
    if (target.shape.size() != 3) return;
    const auto experts = ggml::ExpertsLike(target.name, target.shape[0], other);
    if (!experts.empty()) maker->AddFromEach(experts);
  }
};

}  // namespace

const Scheme& Ggml() {
  static const GgmlScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
