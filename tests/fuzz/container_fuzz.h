// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "container/container.h"
#include "format/index.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"

// What holds of files of every container.

namespace qstore::fuzz {

inline constexpr size_t kMaxRank = 255;

/// What the container makes of the input, whose parts tile it; nothing where it is none of its
/// files. Any input may be read as a head too.
inline std::optional<container::Layout> ParseChecked(const container::Container& container,
                                                     std::span<const std::byte> input) {
  const Status read =
      container.ReadHead(input, kMaxRank, [](const container::Entry&) { return Status(); });
  FUZZ_CHECK(read.ok() || !read.message().empty());
  auto layout = container.Parse(MemorySource(input));
  if (!layout.ok()) {
    FUZZ_CHECK(layout.status().code() == ErrorCode::kCorrupt);
    FUZZ_CHECK(!layout.status().message().empty());
    return std::nullopt;
  }
  uint64_t at = 0;
  for (const container::Part& part : layout->parts) {
    FUZZ_CHECK(part.begin == at && part.end >= at);
    at = part.end;
  }
  FUZZ_CHECK(at == input.size());
  return std::move(layout).value();
}

/// An entry of the head, whose places count from `front` on, is the tensor.
inline void CheckEntry(const container::Layout& layout, uint64_t front,
                       const container::Tensor& tensor, const container::Entry& entry) {
  const container::Part& part = layout.parts[tensor.part];
  FUZZ_CHECK(entry.dtype == tensor.dtype);
  FUZZ_CHECK(std::ranges::equal(entry.shape, tensor.shape));
  FUZZ_CHECK(front + entry.begin == part.begin && front + entry.end == part.end);
  const auto bytes = format::TensorBytes(tensor.dtype, tensor.shape);
  FUZZ_CHECK(bytes && *bytes == part.size());
}

}  // namespace qstore::fuzz
