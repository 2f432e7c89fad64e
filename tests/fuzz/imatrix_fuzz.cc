// SPDX-License-Identifier: Apache-2.0
// Whatever is taken for an importance matrix is cut into parts that tile it, and what no tensor
// has, read alone, lists the tensors that have the rest.
#include "container/imatrix/imatrix.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "format/index.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"

namespace {

using qstore::Status;
using qstore::container::Entry;
using qstore::container::Imatrix;
using qstore::container::Layout;
using qstore::container::Part;
using qstore::container::Tensor;

constexpr size_t kMaxRank = 255;

void CheckEntry(const Layout& layout, const Tensor& tensor, const Entry& entry) {
  const uint64_t front = layout.parts[0].end;
  const Part& part = layout.parts[tensor.part];
  FUZZ_CHECK(entry.dtype == tensor.dtype);
  FUZZ_CHECK(std::ranges::equal(entry.shape, tensor.shape));
  FUZZ_CHECK(front + entry.begin == part.begin && front + entry.end == part.end);
  const auto bytes = qstore::format::TensorBytes(tensor.dtype, tensor.shape);
  FUZZ_CHECK(bytes && *bytes == part.size());
}

// What no tensor has.
std::vector<std::byte> HeadOf(std::span<const std::byte> input, const Layout& layout) {
  std::vector<bool> is_tensor(layout.parts.size());
  for (const Tensor& tensor : layout.tensors) {
    FUZZ_CHECK(tensor.part > 0 && !is_tensor[tensor.part]);
    is_tensor[tensor.part] = true;
  }
  std::vector<std::byte> head;
  for (size_t p = 0; p < layout.parts.size(); ++p) {
    if (is_tensor[p]) continue;
    const auto part = input.subspan(layout.parts[p].begin, layout.parts[p].size());
    head.insert(head.end(), part.begin(), part.end());
  }
  return head;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const Status read = Imatrix().ReadHead(input, kMaxRank, [](const Entry&) { return Status(); });
  FUZZ_CHECK(read.ok() || !read.message().empty());
  const auto layout = Imatrix().Parse(qstore::fuzz::MemorySource(input));
  if (!layout.ok()) {
    FUZZ_CHECK(layout.status().code() == qstore::ErrorCode::kCorrupt);
    FUZZ_CHECK(!layout.status().message().empty());
    return 0;
  }
  uint64_t at = 0;
  for (const Part& part : layout->parts) {
    FUZZ_CHECK(part.begin == at && part.end > at);
    at = part.end;
  }
  FUZZ_CHECK(at == size);
  std::map<std::string, const Tensor*, std::less<>> tensors;
  for (const Tensor& tensor : layout->tensors) tensors[tensor.name] = &tensor;
  FUZZ_CHECK(tensors.size() == layout->tensors.size());
  const auto head = HeadOf(input, *layout);
  const Status again = Imatrix().ReadHead(head, kMaxRank, [&](const Entry& entry) {
    const auto tensor = tensors.find(entry.name);
    FUZZ_CHECK(tensor != tensors.end());
    CheckEntry(*layout, *tensor->second, entry);
    tensors.erase(tensor);
    return Status();
  });
  FUZZ_CHECK(again.ok() && tensors.empty());
  return 0;
}
