// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>

#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// Memory for tensors: pages straight from the operating system, zero until written. From 4 MiB on
/// it begins at a huge page (2 MiB), for which the system is asked, since first touching 4 KiB
/// pages one by one costs more than decoding what goes there; below, at a page. Goes back to the
/// system with this object, which alone owns it. Movable; a moved one may have other memory.
/// Thread-safety: that of standard containers.
class QSTORE_EXPORT PageMemory {
 public:
  PageMemory() = default;
  /// Errors: kLimit when the system has not so much memory. A size of 0 takes none.
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

}  // namespace qstore
