// SPDX-License-Identifier: Apache-2.0
// Whatever is taken for an importance matrix is cut into parts that tile it, and what no tensor
// has, read alone, lists the tensors that have the rest.
#include "container/imatrix/imatrix.h"

#include <map>
#include <string>
#include <vector>

#include "fuzz/container_fuzz.h"

namespace {

using qstore::Status;
using qstore::container::Entry;
using qstore::container::Imatrix;
using qstore::container::Layout;
using qstore::container::Part;
using qstore::container::Tensor;

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
  const auto layout = qstore::fuzz::ParseChecked(Imatrix(), input);
  if (!layout) return 0;
  for (const Part& part : layout->parts) FUZZ_CHECK(part.size() > 0);
  std::map<std::string, const Tensor*, std::less<>> tensors;
  for (const Tensor& tensor : layout->tensors) tensors[tensor.name] = &tensor;
  FUZZ_CHECK(tensors.size() == layout->tensors.size());
  const auto head = HeadOf(input, *layout);
  const Status again = Imatrix().ReadHead(head, qstore::fuzz::kMaxRank, [&](const Entry& entry) {
    const auto tensor = tensors.find(entry.name);
    FUZZ_CHECK(tensor != tensors.end());
    qstore::fuzz::CheckEntry(*layout, layout->parts[0].end, *tensor->second, entry);
    tensors.erase(tensor);
    return Status();
  });
  FUZZ_CHECK(again.ok() && tensors.empty());
  return 0;
}
