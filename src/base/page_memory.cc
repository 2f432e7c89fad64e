// SPDX-License-Identifier: Apache-2.0
#include "base/page_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <string>
#include <utility>

#include "qstore/page_memory.h"

namespace qstore {
namespace {

constexpr size_t kHugePage = size_t{1} << 21;
constexpr size_t kPage = size_t{1} << 12;

// Linux 5.14 and later; earlier ones refuse it, which is no harm.
constexpr int kPopulateWrite = 23;

}  // namespace

Result<PageMemory> PageMemory::Allocate(size_t size) {
  PageMemory memory;
  if (size == 0) return memory;
  // Small blocks would waste most of a huge page.
  const bool huge = size >= 2 * kHugePage;
  const size_t slack = huge ? kHugePage - 1 : 0;
  void* const mapping = size <= SIZE_MAX - slack
                            ? ::mmap(nullptr, size + slack, PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                            : MAP_FAILED;
  if (mapping == MAP_FAILED) {
    return LimitExceeded("the system has no " + std::to_string(size) + " bytes of memory");
  }
  memory.mapping_ = static_cast<std::byte*>(mapping);
  memory.mapping_size_ = size + slack;
  const auto address = reinterpret_cast<uintptr_t>(mapping);
  memory.begin_ = memory.mapping_ + ((address + slack) / (slack + 1) * (slack + 1) - address);
  memory.size_ = size;
  // Advice only: systems without huge pages do without.
  if (huge) ::madvise(memory.begin_, size, MADV_HUGEPAGE);
  return memory;
}

PageMemory::PageMemory(PageMemory&& other) noexcept { *this = std::move(other); }

PageMemory& PageMemory::operator=(PageMemory&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_size_, other.mapping_size_);
  std::swap(begin_, other.begin_);
  std::swap(size_, other.size_);
  return *this;
}

PageMemory::~PageMemory() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_size_);
}

namespace base {

namespace {

// Of the pages of that size that lie in the memory as a whole.
void Advise(std::span<std::byte> memory, size_t page, int advice) {
  const auto begin = reinterpret_cast<uintptr_t>(memory.data());
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = (begin + memory.size()) / page * page;
  if (first < last) ::madvise(memory.data() + (first - begin), last - first, advice);
}

}  // namespace

void Prefault(std::span<std::byte> memory) { Advise(memory, kPage, kPopulateWrite); }

void AdviseHugePages(std::span<std::byte> memory) { Advise(memory, kHugePage, MADV_HUGEPAGE); }

}  // namespace base
}  // namespace qstore
