// SPDX-License-Identifier: Apache-2.0
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "qstore/archive.h"
#include "qstore/loaded_tensors.h"
#include "qstore/page_memory.h"

namespace qstore {
namespace {

constexpr size_t kAlignment = 64;

}  // namespace

struct LoadedTensors::Impl {
  PageMemory memory;
  std::vector<ReadRequest> tensors;
};

LoadedTensors::LoadedTensors() : impl_(std::make_unique<Impl>()) {}
LoadedTensors::LoadedTensors(LoadedTensors&&) noexcept = default;
LoadedTensors& LoadedTensors::operator=(LoadedTensors&&) noexcept = default;
LoadedTensors::~LoadedTensors() = default;

size_t LoadedTensors::size() const { return impl_->tensors.size(); }
size_t LoadedTensors::tensor(size_t i) const { return impl_->tensors[i].tensor; }
std::span<std::byte> LoadedTensors::content(size_t i) const { return impl_->tensors[i].out; }
std::span<const ReadRequest> LoadedTensors::requests() const { return impl_->tensors; }

Result<LoadedTensors> Archive::Load(std::span<const size_t> variants, unsigned threads,
                                    const ProgressCallback& progress) const {
  QSTORE_ASSIGN(LoadedTensors loaded, Allocate(variants));
  QSTORE_TRY(Read(loaded.requests(), threads, progress));
  return loaded;
}

Result<LoadedTensors> Archive::Allocate(std::span<const size_t> variants) const {
  LoadedTensors loaded;
  std::vector<ReadRequest>& requests = loaded.impl_->tensors;
  std::vector<size_t> begins;
  size_t size = 0;
  for (const size_t v : variants) {
    const VariantInfo info = variant(v);
    for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
      requests.push_back({t, {}});
      begins.push_back(size);
      const uint64_t bytes = tensor(t).byte_size;
      if (bytes > SIZE_MAX / 2 - size) return LimitExceeded("the variants exceed all memory");
      size += (static_cast<size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
    }
  }
  QSTORE_ASSIGN(loaded.impl_->memory, PageMemory::Allocate(size));
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto bytes = static_cast<size_t>(tensor(requests[i].tensor).byte_size);
    requests[i].out = loaded.impl_->memory.bytes().subspan(begins[i], bytes);
  }
  return loaded;
}

}  // namespace qstore
