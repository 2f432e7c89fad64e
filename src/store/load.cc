// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "qstore/archive.h"
#include "qstore/loaded_tensors.h"
#include "qstore/page_memory.h"
#include "store/archive_file.h"

namespace qstore {
namespace {

constexpr size_t kAlignment = 64;

Status BeyondBytes(const Archive& archive, size_t variant, uint64_t max_bytes) {
  return LimitExceeded(archive.path().string() + ": the tensors of variant '" +
                       std::string(archive.variant(variant).name) + "' are more than the " +
                       std::to_string(max_bytes) + " bytes allowed (max_bytes, --max-bytes)");
}

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
                                    const ProgressCallback& progress, uint64_t max_bytes) const {
  QSTORE_ASSIGN(LoadedTensors loaded, Allocate(variants, max_bytes));
  QSTORE_TRY(Read(loaded.requests(), threads, progress));
  return loaded;
}

Result<LoadedTensors> Archive::Allocate(std::span<const size_t> variants,
                                        uint64_t max_bytes) const {
  return base::Guarded([&] { return AllocateUpTo(variants, max_bytes); });
}

Result<LoadedTensors> Archive::AllocateUpTo(std::span<const size_t> variants,
                                            uint64_t max_bytes) const {
  size_t count = 0;
  for (const size_t v : variants) count += variant(v).tensor_count;
  const uint64_t list = count * (sizeof(ReadRequest) + sizeof(size_t));
  if (list > impl_->MemoryLeft()) return impl_->BeyondMemory("a list of tensors", list);
  LoadedTensors loaded;
  std::vector<ReadRequest>& requests = loaded.impl_->tensors;
  std::vector<size_t> begins;
  requests.reserve(count);
  begins.reserve(count);
  size_t size = 0;
  uint64_t content = 0;
  for (const size_t v : variants) {
    const VariantInfo info = variant(v);
    for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
      requests.push_back({t, {}});
      begins.push_back(size);
      const uint64_t bytes = tensor(t).byte_size;
      content += bytes;
      if (content > max_bytes) return BeyondBytes(*this, v, max_bytes);
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
