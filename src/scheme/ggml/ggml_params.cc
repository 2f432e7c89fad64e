// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/ggml_params.h"

#include "base/bytes.h"
#include "format/limits.h"
#include "scheme/ggml/block_values.h"

namespace qstore::scheme::ggml {
namespace {

constexpr unsigned kReplayed = 1;
constexpr unsigned kImportance = 2;
constexpr unsigned kPlusOne = 4;
constexpr unsigned kCalls = 8;
constexpr unsigned kTransposed = 16;
constexpr unsigned kKnownFlags = kReplayed | kImportance | kPlusOne | kCalls | kTransposed;

}  // namespace

std::vector<std::byte> WriteGgmlParams(const GgmlParams& params) {
  std::vector<std::byte> bytes;
  base::ByteWriter writer(&bytes);
  const unsigned flags =
      (params.is_replayed ? kReplayed : 0u) | (params.has_importance ? kImportance : 0u) |
      (params.plus_one ? kPlusOne : 0u) | (params.counts_are_calls ? kCalls : 0u) |
      (params.is_transposed ? kTransposed : 0u);
  writer.Fixed(static_cast<uint8_t>(flags));
  writer.Fixed(static_cast<uint8_t>(params.via));
  writer.Fixed(static_cast<uint8_t>(params.parent_dtype));
  writer.Varint(params.columns);
  writer.Varint(params.head_rows);
  writer.Varint(params.matrices);
  return bytes;
}

Result<GgmlParams> ReadGgmlParams(std::span<const std::byte> bytes) {
  base::ByteReader reader(bytes);
  const auto flags = reader.Fixed<uint8_t>();
  const auto via = reader.Fixed<uint8_t>();
  const auto dtype = reader.Fixed<uint8_t>();
  GgmlParams params;
  params.columns = reader.Varint();
  params.head_rows = reader.Varint();
  params.matrices = reader.Varint();
  if (!reader.ok() || reader.remaining() != 0 || (flags & ~kKnownFlags) != 0 || via > 2 ||
      dtype >= kDTypeCount) {
    return Corrupt("ggml: parameters out of range");
  }
  params.is_replayed = (flags & kReplayed) != 0;
  params.has_importance = (flags & kImportance) != 0;
  params.plus_one = (flags & kPlusOne) != 0;
  params.counts_are_calls = (flags & kCalls) != 0;
  params.is_transposed = (flags & kTransposed) != 0;
  params.via = static_cast<Via>(via);
  params.parent_dtype = static_cast<DType>(dtype);
  if (!HasValues(params.parent_dtype)) return Corrupt("ggml: its parent's type has no values");
  if (params.columns == 0 || params.columns > format::kMaxSize ||
      params.head_rows > format::kMaxSize / params.columns || params.head_rows % 2 != 0) {
    return Corrupt("ggml: rows out of range");
  }
  if (params.matrices == 0 || params.matrices > format::kMaxParents - 2 ||
      (params.matrices > 1 && params.head_rows != 0)) {
    return Corrupt("ggml: number of matrices out of range");
  }
  if (params.has_importance && !params.is_replayed) {
    return Corrupt("ggml: importance without making blocks again");
  }
  if (params.counts_are_calls && !params.has_importance) {
    return Corrupt("ggml: calls without importance");
  }
  if (params.is_transposed &&
      (params.matrices > 1 || params.head_rows != 0 || DTypeBlock(params.parent_dtype) > 1)) {
    return Corrupt("ggml: transposed, but not one matrix of floats in its order");
  }
  return params;
}

}  // namespace qstore::scheme::ggml
