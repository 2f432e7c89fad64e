// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "codec/row_stream.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::codec {

/// Whether rows of such content can be modelled: I8 and the coded floats, of at least a few places
/// and rows. Others are corrupt.
bool IsCodedRows(DType dtype, const RowShape& shape);

/// Appends the elements (raw.size() is that of shape.rows * shape.columns of them) as a row stream,
/// and for floats the bits that are no part of it. docs/format-coding.md, "Rows". Returns false,
/// and appends nothing, when that is not possible or would take more than about `limit` bytes.
/// REQUIRES: IsCodedRows.
bool EncodeRows(DType dtype, const RowShape& shape, size_t limit, std::span<const std::byte> raw,
                PlaneScratch* planes, RowScratch* scratch, std::vector<std::byte>* out);

/// The inverse; fills `raw`. kCorrupt when `payload` is not such content. See DecodePlane on slack.
/// REQUIRES: IsCodedRows.
Status DecodeRows(DType dtype, const RowShape& shape, base::ByteReader* payload,
                  PlaneScratch* planes, RowScratch* scratch, std::span<std::byte> raw);

}  // namespace qstore::codec
