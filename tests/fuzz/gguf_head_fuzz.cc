// SPDX-License-Identifier: Apache-2.0
// Whatever is taken for a GGUF file is cut into parts that tile it, and its head, read alone, lists
// the tensors that have some of them.
#include <algorithm>

#include "container/gguf/gguf.h"
#include "format/index.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"

namespace {

using qstore::Status;
using qstore::container::Entry;
using qstore::container::Gguf;
using qstore::container::Layout;
using qstore::container::Part;
using qstore::container::Tensor;

constexpr size_t kMaxRank = 255;

// How many bytes are before the first part that a tensor has.
uint64_t HeadOf(const Layout& layout) {
  size_t parts = layout.parts.size();
  for (const Tensor& tensor : layout.tensors) parts = std::min<size_t>(parts, tensor.part);
  FUZZ_CHECK(parts > 0);
  return layout.parts[parts - 1].end;
}

void CheckEntry(const Layout& layout, uint64_t head, const Entry& entry) {
  const auto tensor = std::find_if(layout.tensors.begin(), layout.tensors.end(),
                                   [&](const Tensor& each) { return each.name == entry.name; });
  FUZZ_CHECK(tensor != layout.tensors.end());
  const Part& part = layout.parts[tensor->part];
  FUZZ_CHECK(entry.dtype == tensor->dtype);
  FUZZ_CHECK(std::ranges::equal(entry.shape, tensor->shape));
  FUZZ_CHECK(head + entry.begin == part.begin && head + entry.end == part.end);
  const auto bytes = qstore::format::TensorBytes(tensor->dtype, tensor->shape);
  FUZZ_CHECK(bytes && *bytes == part.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const Status read = Gguf().ReadHead(input, kMaxRank, [](const Entry&) { return Status(); });
  FUZZ_CHECK(read.ok() || !read.message().empty());
  const auto layout = Gguf().Parse(qstore::fuzz::MemorySource(input));
  if (!layout.ok()) {
    FUZZ_CHECK(layout.status().code() == qstore::ErrorCode::kCorrupt);
    FUZZ_CHECK(!layout.status().message().empty());
    return 0;
  }
  uint64_t at = 0;
  for (const Part& part : layout->parts) {
    FUZZ_CHECK(part.begin == at && part.end >= at);
    at = part.end;
  }
  FUZZ_CHECK(at == size);
  const uint64_t head = HeadOf(*layout);
  size_t entries = 0;
  const Status again = Gguf().ReadHead(input.first(head), kMaxRank, [&](const Entry& entry) {
    ++entries;
    CheckEntry(*layout, head, entry);
    return Status();
  });
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(entries == layout->tensors.size());
  return 0;
}
