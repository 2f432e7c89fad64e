// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "chain/chunk_coder.h"
#include "chain/object_spec.h"
#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/level.h"
#include "qstore/status.h"

namespace qstore::chain {

/// A tensor as a variant's files list it.
struct TensorDesc {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;
};

/// The tensors of one variant, by name.
class TensorTable {
 public:
  virtual ~TensorTable() = default;
  virtual size_t size() const = 0;
  virtual TensorDesc tensor(size_t index) const = 0;
  virtual std::optional<size_t> Find(std::string_view name) const = 0;
};

/// The spec of a tensor's content before any parent is chosen: dtype (sub-byte types and content
/// whose length is no multiple of the element become kU8), row_elems, chunk_elems. At level max the
/// chunks of matrices are larger.
ObjectSpec SpecFor(DType dtype, std::span<const uint64_t> shape, uint64_t byte_size,
                   Level level = Level::kBalanced);

/// A way to explain a tensor by tensors of another variant, found by names, dtypes and shapes.
struct CandidateRef {
  Relation relation = Relation::kNone;
  DType parent_dtype = DType::kU8;
  DType own_dtype = DType::kU8;
  /// Tensors by role: positions in the parent variant's table; from kOwnScales on, in the target's.
  std::array<std::optional<size_t>, kParentRoles> parents;
};

/// All relations by which tensors of `low` may explain `target`, one of `own`, best guess first.
std::vector<CandidateRef> FindCandidates(const TensorDesc& target, const TensorTable& own,
                                         const TensorTable& low);

/// The shape of the GPTQ tensor whose qweight is `target`, one of `own`, when its parts are there.
std::optional<base::GptqShape> FindGptqShape(const TensorDesc& target, const TensorTable& own);

/// The order in which variants are coded, as indices into `variants`: quantized ones first, among
/// equals fewer tensor bytes first, then the given order. Parents are always of earlier variants.
std::vector<size_t> OrderVariants(std::span<const TensorTable* const> variants);

/// A candidate with access to content, to be measured.
struct Candidate {
  ObjectSpec spec;                                        ///< The target's, under the relation.
  std::array<const ByteSource*, kParentRoles> parents{};  ///< Null for roles without parent.
};

/// Codes samples of `content` alone and under every candidate and returns the index of the
/// cheapest candidate, or nothing when no parent is better than none. Of what takes far more than
/// another only the first samples are coded, and read. Errors are read errors.
Result<std::optional<size_t>> ChooseParent(const ObjectSpec& spec, const ByteSource& content,
                                           std::span<const Candidate> candidates, Level level,
                                           ChunkCoder* coder);

}  // namespace qstore::chain
