// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "qstore/status.h"

namespace qstore::base {

/// Pages from the operating system, zero until written; large ones where it has them, since first
/// touching 4 KiB pages one by one costs more than decoding what goes there. Movable.
class PageMemory {
 public:
  PageMemory() = default;
  /// kLimit when the system has not so much memory.
  static Result<PageMemory> Allocate(size_t size);
  PageMemory(PageMemory&& other) noexcept;
  PageMemory& operator=(PageMemory&& other) noexcept;
  ~PageMemory();

  std::span<std::byte> bytes() const { return {begin_, size_}; }

 private:
  std::byte* mapping_ = nullptr;
  size_t mapping_size_ = 0;
  std::byte* begin_ = nullptr;
  size_t size_ = 0;
};

/// Has the system provide the pages of memory that will be written as a whole, all at once: one by
/// one, as they are first touched, they cost several times as much. Does nothing to content. Only
/// worth calling for some hundred KiB.
void Prefault(std::span<std::byte> memory);

}  // namespace qstore::base
