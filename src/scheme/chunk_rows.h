// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "codec/row_shape.h"
#include "scheme/object_spec.h"

namespace qstore::scheme {

/// No rows where `count` elements do not make whole ones.
inline codec::RowShape RowsOf(const ObjectSpec& spec, uint64_t count) {
  if (count % spec.row_elems != 0) return {};
  return {static_cast<size_t>(count / spec.row_elems), static_cast<size_t>(spec.row_elems)};
}

}  // namespace qstore::scheme
