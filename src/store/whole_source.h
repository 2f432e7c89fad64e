// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "qstore/status.h"

namespace qstore::store {

/// What is asked for: all of an object, or one of its chunks.
struct ContentId {
  static constexpr uint32_t kAll = UINT32_MAX;

  // NOLINTNEXTLINE(google-explicit-constructor): an object is asked for as such.
  ContentId(uint32_t of_object, uint32_t of_chunk = kAll) : object(of_object), chunk(of_chunk) {}
  bool is_whole() const { return chunk == kAll; }
  bool operator==(const ContentId&) const = default;

  uint32_t object;
  uint32_t chunk;
};

struct ContentIdHash {
  size_t operator()(const ContentId& id) const {
    return std::hash<uint64_t>()(uint64_t{id.object} << 32 | id.chunk);
  }
};

/// Content that was asked for, kept alive by `held`.
struct WholeContent {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> held;
};

/// Where chunks get what they need of parents whose chunks are not theirs. Thread-safe.
class WholeSource {
 public:
  virtual ~WholeSource() = default;
  virtual Result<WholeContent> Get(ContentId id) = 0;

  /// Waits until all that chunks of `object`'s kind take whole can be held at once, for a thread
  /// that holds nothing; Leave when it needs it no more.
  virtual Status Enter(uint32_t object) = 0;
  virtual void Leave(uint32_t object) = 0;
};

/// What one thread holds of a source while it decodes chunks of one kind after another.
class WholeHold {
 public:
  static constexpr uint32_t kNothing = UINT32_MAX;

  explicit WholeHold(WholeSource* source) : source_(*source) {}
  ~WholeHold() { Leave(); }
  WholeHold(const WholeHold&) = delete;
  WholeHold& operator=(const WholeHold&) = delete;

  /// What is decoded next; kNothing: within what another hold has. Keeps what is held for it.
  Status MoveTo(uint32_t object) {
    if (object == object_) return {};
    Leave();
    if (object != kNothing) QSTORE_TRY(source_.Enter(object));
    object_ = object;
    return {};
  }

  /// What is whole is kept until the next kind.
  Result<WholeContent> Get(ContentId id) {
    if (!id.is_whole()) return source_.Get(id);
    for (const auto& [object, content] : contents_) {
      if (object == id.object) return content;
    }
    QSTORE_ASSIGN(WholeContent content, source_.Get(id));
    if (object_ != kNothing) contents_.emplace_back(id.object, content);
    return content;
  }

 private:
  void Leave() {
    contents_.clear();
    if (object_ != kNothing) source_.Leave(std::exchange(object_, kNothing));
  }

  WholeSource& source_;
  uint32_t object_ = kNothing;
  std::vector<std::pair<uint32_t, WholeContent>> contents_;
};

}  // namespace qstore::store
