// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "qstore/status.h"

namespace qstore::scheme {

/// Appends the elements of `raw`, of `elem_bytes` bytes each, that are not those predicted: their
/// count, and for each of them the count of elements skipped and the element. Nothing when there
/// are none. Returns how many there are. docs/format-grids.md, "Listed elements".
uint64_t EncodeListed(std::span<const std::byte> predicted, std::span<const std::byte> raw,
                      uint64_t elem_bytes, std::vector<std::byte>* out);

/// The inverse: puts them into `raw`, which has what is predicted. kCorrupt naming `rule`.
Status DecodeListed(base::ByteReader* payload, uint64_t elem_bytes, std::string_view rule,
                    std::span<std::byte> raw);

}  // namespace qstore::scheme
