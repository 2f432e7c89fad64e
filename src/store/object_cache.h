// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/page_memory.h"
#include "qstore/status.h"
#include "store/whole_source.h"

namespace qstore::store {

/// Memory of a size once given, whose content is undefined until it is written: large ones have
/// pages of their own, which need not be filled first.
class WholeMemory {
 public:
  /// Errors: kLimit.
  Status Allocate(size_t size);
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::unique_ptr<std::byte[]> small_;
  base::PageMemory large_;
  std::span<std::byte> bytes_;
};

/// Whole contents of objects that many chunks need: scales, quantized parents. Each is loaded once,
/// by the first thread that asks; the oldest are forgotten beyond a budget. Thread-safe.
class ObjectCache final : public WholeSource {
 public:
  using Loader = std::function<Status(uint32_t object, WholeMemory* out)>;

  explicit ObjectCache(Loader loader) : loader_(std::move(loader)) {}

  /// An error of the loader is not remembered.
  Result<WholeContent> Get(uint32_t object) override;

 private:
  struct Entry {
    std::mutex mutex;
    bool loaded = false;
    WholeMemory memory;
  };
  std::shared_ptr<Entry> Find(uint32_t object);
  void Account(uint32_t object, size_t size);

  static constexpr size_t kBudget = size_t{64} << 20;
  // All that the chunks of two tensors need is kept, however large: else each chunk would load it
  // anew.
  static constexpr size_t kLeastEntries = 14;

  Loader loader_;
  std::mutex mutex_;
  std::unordered_map<uint32_t, std::shared_ptr<Entry>> entries_;
  std::deque<std::pair<uint32_t, size_t>> loaded_;  // With their sizes, the oldest in front.
  size_t held_ = 0;
};

}  // namespace qstore::store
