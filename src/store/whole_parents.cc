// SPDX-License-Identifier: Apache-2.0
#include "store/whole_parents.h"

#include <utility>

#include "base/status_macros.h"

namespace qstore::store {

Result<WholeContents> FetchWholeParents(
    const format::ObjectEntry& object,
    const std::function<Result<WholeContent>(uint32_t object)>& get) {
  WholeContents contents;
  Status status;
  const auto fetch = [&](bool has, uint32_t id) -> std::span<const std::byte> {
    if (!status.ok() || !has || id == format::kNoParent) return {};
    auto whole = get(id);
    if (!whole.ok()) {
      status = whole.status();
      return {};
    }
    contents.held.push_back(std::move(whole->held));
    return whole->bytes;
  };
  const bool gptq = object.is_gptq();
  const bool own = object.has_own();
  contents.bytes.base = fetch(object.has_base() && !object.has_chunked_base(), object.base);
  contents.bytes.scales = fetch(object.has_scales(), object.scales);
  contents.bytes.zeros = fetch(gptq, object.zeros);
  contents.bytes.groups = fetch(gptq, object.groups);
  contents.bytes.own_scales = fetch(own, object.own_scales);
  contents.bytes.own_zeros = fetch(own, object.own_zeros);
  contents.bytes.own_groups = fetch(own, object.own_groups);
  QSTORE_TRY(status);
  return contents;
}

chain::ObjectSpec SpecOf(const format::ObjectEntry& object, const format::ParentEntries& parents) {
  chain::ObjectSpec spec;
  spec.dtype = object.dtype;
  spec.byte_size = object.byte_size;
  spec.row_elems = object.row_elems;
  spec.chunk_elems = object.chunk_elems;
  spec.relation = object.relation;
  spec.parent_dtype = object.parent_dtype;
  spec.own_dtype = object.own_dtype;
  if (object.is_gptq()) {
    const auto shape =
        format::GptqShapeOf(*parents.base, *parents.scales, object.parent_dtype, *parents.zeros);
    if (shape) spec.parent_shape = *shape;
  }
  if (object.has_own()) {
    const auto shape =
        format::GptqShapeOf(object, *parents.own_scales, object.own_dtype, *parents.own_zeros);
    if (shape) spec.shape = *shape;
  }
  return spec;
}

}  // namespace qstore::store
