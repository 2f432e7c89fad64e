// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "qstore/status.h"
#include "store/whole_source.h"

namespace qstore::store {

/// Whole contents of objects that many chunks need: scales, quantized parents. Each is loaded once,
/// by the first thread that asks; the oldest are forgotten beyond a budget. Thread-safe.
class ObjectCache final : public WholeSource {
 public:
  using Bytes = std::vector<std::byte>;
  using Loader = std::function<Status(uint32_t object, Bytes* out)>;

  explicit ObjectCache(Loader loader) : loader_(std::move(loader)) {}

  /// An error of the loader is not remembered.
  Result<WholeContent> Get(uint32_t object) override;

 private:
  struct Entry {
    std::mutex mutex;
    bool loaded = false;
    Bytes bytes;
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
