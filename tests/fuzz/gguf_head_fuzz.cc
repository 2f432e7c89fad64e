// SPDX-License-Identifier: Apache-2.0
// Whatever is taken for a GGUF file is cut into parts that tile it, and its head, read alone, lists
// the tensors that have some of them.
#include <algorithm>

#include "container/gguf/gguf.h"
#include "fuzz/container_fuzz.h"

namespace {

using qstore::Status;
using qstore::container::Entry;
using qstore::container::Gguf;
using qstore::container::Layout;
using qstore::container::Tensor;

// How many bytes are before the first part that a tensor has.
uint64_t HeadOf(const Layout& layout) {
  size_t parts = layout.parts.size();
  for (const Tensor& tensor : layout.tensors) parts = std::min<size_t>(parts, tensor.part);
  FUZZ_CHECK(parts > 0);
  return layout.parts[parts - 1].end;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const auto layout = qstore::fuzz::ParseChecked(Gguf(), input);
  if (!layout) return 0;
  const uint64_t head = HeadOf(*layout);
  size_t entries = 0;
  const Status again =
      Gguf().ReadHead(input.first(head), qstore::fuzz::kMaxRank, [&](const Entry& entry) {
        ++entries;
        const auto tensor = std::ranges::find(layout->tensors, entry.name, &Tensor::name);
        FUZZ_CHECK(tensor != layout->tensors.end());
        qstore::fuzz::CheckEntry(*layout, head, *tensor, entry);
        return Status();
      });
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(entries == layout->tensors.size());
  return 0;
}
