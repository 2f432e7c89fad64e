// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_set>
#include <vector>

#include "base/thread_pool.h"
#include "qstore/status.h"
#include "store/whole_source.h"

namespace qstore::store {

class ArchiveFile;

/// Bytes of the archive.
struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// Whose reading earlier units have told of: objects whole, and chunks by their numbers among all.
struct AheadSet {
  std::unordered_set<uint32_t> objects;
  std::vector<bool> chunks;

  /// False when it was there.
  bool AddChunk(uint32_t number) {
    if (chunks.size() <= number) chunks.resize(size_t{number} + 1);
    if (chunks[number]) return false;
    chunks[number] = true;
    return true;
  }
};

/// Appends what a chunk's payload takes, and the parents that it needs whole, unless they are in
/// `whole`, the objects that have been added, already.
void AddChunk(const ArchiveFile& archive, uint32_t object, uint32_t chunk, AheadSet* whole,
              std::vector<Extent>* extents);
/// The same, with the chunks of base parents that it needs.
void AddChunkWithAncestors(const ArchiveFile& archive, uint32_t object, uint32_t chunk,
                           AheadSet* whole, std::vector<Extent>* extents);
/// Appends what all of an object takes, unless it is in `whole`, and puts it there.
void AddWhole(const ArchiveFile& archive, uint32_t object, AheadSet* whole,
              std::vector<Extent>* extents);

/// Reads for one call what its units of work will need, in few large reads and several at once, by
/// OpenOptions::read_ahead threads beside those that decode. Units that follow one another make a
/// window, which is read in the order of the archive and let go when all its units are done.
/// Thread-safe.
class ReadAhead {
 public:
  /// Appends what the next unit reads, or returns false when there is no further one. Called when
  /// it is time to read it, by one thread at a time.
  using NextUnit = std::function<bool(std::vector<Extent>* extents)>;

  ReadAhead(const ArchiveFile& archive, NextUnit next_unit);
  /// Waits for the reads that have begun.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  /// A unit begins; units begin in order. Done when it needs nothing more.
  void Begin(size_t unit);
  void Done(size_t unit);

  /// Fills `out`, waiting for what is being read. What no window of a unit begun holds is read now.
  /// Errors: those of the read that the bytes come from.
  Status Read(uint64_t offset, std::span<std::byte> out);

 private:
  enum class State { kWaiting, kReading, kRead };
  // One read.
  struct Piece {
    Extent extent;
    State state = State::kWaiting;
    Status status;
    std::unique_ptr<std::byte[]> bytes;
  };
  struct Window {
    size_t end_unit = 0;
    size_t units_left = 0;
    uint64_t bytes = 0;
    bool is_held = false;                        // Its bytes count against the budget.
    std::vector<std::shared_ptr<Piece>> pieces;  // By offset; empty once all its units are done.
  };

  bool AddWindow();
  void Cut(std::vector<Extent> extents, Window* window) const;
  size_t WindowOf(size_t unit) const;
  void AskForThreads();
  void Work();
  std::shared_ptr<Piece> NextWaiting();
  bool HasRoom(const Window& window) const;
  void Hold(Window* window);
  std::shared_ptr<Piece> Find(uint64_t offset);
  void Fetch(Piece* piece, std::unique_lock<std::mutex>* lock);

  const ArchiveFile& archive_;
  const NextUnit next_unit_;
  const uint64_t most_;  // Bytes of a window, and of all that is held.
  uint64_t budget_ = 0;  // Bytes held while there is more than one window.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Window> windows_;
  bool has_all_ = false;    // There are no further units.
  size_t begun_ = 0;        // Windows that units have begun in.
  size_t next_window_ = 0;  // The reading threads have come so far.
  size_t next_piece_ = 0;
  uint64_t held_ = 0;  // Bytes of windows whose reading has begun.
  bool stopping_ = false;
  base::PoolTask threads_;
};

}  // namespace qstore::store
