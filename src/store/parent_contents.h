// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "format/limits.h"
#include "qstore/status.h"
#include "scheme/chunk_coder.h"
#include "scheme/scheme.h"
#include "store/whole_source.h"

namespace qstore::store {

/// Where parents come from.
struct ParentAccess {
  std::function<Result<WholeContent>(ContentId id)> get;
  std::function<uint64_t(uint32_t object)> chunk_bytes;
};

/// Memory for ranges of parents, as many as a chunk takes together. What is in it holds until it is
/// used again.
using RangeMemory = std::vector<std::vector<std::byte>>;

/// What a chunk needs of its object's parents, kept alive as long as this is.
class ParentContents {
 public:
  /// Fetches parents. `ids` are the objects that `bound` has as parents. Of one taken by chunks the
  /// content is `chunk`, where that is given.
  static Result<ParentContents> Fetch(const scheme::Bound& bound, std::span<const uint32_t> ids,
                                      const scheme::ChunkAt& at,
                                      std::optional<std::span<const std::byte>> chunk,
                                      const ParentAccess& access, RangeMemory* ranges);

  scheme::Given given() const { return {bound_, contents_}; }

 private:
  Status FetchRange(const scheme::Region& need, size_t parent, uint32_t id,
                    const ParentAccess& access, RangeMemory* ranges);

  const scheme::Bound* bound_ = nullptr;
  std::vector<scheme::ParentContent> contents_;
  size_t ranges_used_ = 0;
  std::vector<std::shared_ptr<const void>> held_;
};

}  // namespace qstore::store
