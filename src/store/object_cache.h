// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_map>
#include <utility>

#include "qstore/page_memory.h"
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
  PageMemory large_;
  std::span<std::byte> bytes_;
};

/// How an ObjectCache gets contents: in blocks, many at a time and by any thread. A block may ask
/// the cache for other objects, never for what these need themselves.
struct WholeLoader {
  struct Shape {
    size_t size = 0;
    size_t blocks = 0;
  };
  std::function<Shape(ContentId id)> shape;
  /// Fills what block `block` has of `content`, which is all that was asked for.
  std::function<Status(ContentId id, size_t block, std::span<std::byte> content)> load;
  /// Bytes of all that is asked for between Enter and Leave of an object. Empty: nothing is.
  std::function<uint64_t(uint32_t object)> needs = {};
};

/// Contents that many chunks need, objects whole or chunk by chunk: scales, quantized parents. Each
/// is loaded once, by all threads that ask for it meanwhile; those unused for longest are
/// forgotten. Thread-safe.
class ObjectCache final : public WholeSource {
 public:
  /// Holds at most `limit` bytes. REQUIRES: nothing needs more, and what is asked for outside of
  /// Enter and Leave fits beside it.
  explicit ObjectCache(WholeLoader loader, uint64_t limit = UINT64_MAX, uint64_t usual = kUsual)
      : loader_(std::move(loader)), limit_(limit), usual_(usual) {}

  /// Bytes that it keeps, beside those that whoever is inside asks for, where the limit allows it.
  static constexpr uint64_t kUsual = uint64_t{64} << 20;
  /// No less than it counts for an entry beside its content.
  static constexpr uint64_t kEntryBytes = 512;

  /// Errors: kLimit, and that of the lowest block which failed; they are not remembered.
  Result<WholeContent> Get(ContentId id) override;
  Status Enter(uint32_t object) override;
  void Leave(uint32_t object) override;

 private:
  struct Entry {
    std::mutex mutex;
    std::condition_variable changed;
    bool has_begun = false;
    bool is_done = false;
    size_t block_count = 0;
    size_t next_block = 0;
    size_t running = 0;  // Blocks being loaded.
    size_t failed_block = SIZE_MAX;
    Status error;
    WholeMemory memory;
  };
  std::shared_ptr<Entry> Find(ContentId id);
  Status Begin(ContentId id, Entry* entry);
  void LoadBlocks(ContentId id, Entry* entry, std::unique_lock<std::mutex>* lock);
  void End(ContentId id, const std::shared_ptr<Entry>& entry);
  void MakeRoom(uint64_t bytes);

  // All that the chunks of two tensors need is kept, as far as the limit allows: else each chunk
  // would load it anew.
  static constexpr size_t kLeastEntries = 14;

  struct Place {
    std::shared_ptr<Entry> entry;
    uint64_t bytes = 0;  // Once they are counted.
    std::list<ContentId>::iterator used;
  };
  struct Inside {
    size_t threads = 0;
    uint64_t bytes = 0;
  };

  WholeLoader loader_;
  const uint64_t limit_;
  const uint64_t usual_;
  std::mutex mutex_;
  std::condition_variable left_;
  std::unordered_map<ContentId, Place, ContentIdHash> places_;
  std::list<ContentId> used_;  // Of places_, what was asked for last at the end.
  uint64_t held_ = 0;
  std::unordered_map<uint32_t, Inside> inside_;  // By object entered.
  uint64_t entered_ = 0;                         // Bytes of all of them.
};

}  // namespace qstore::store
