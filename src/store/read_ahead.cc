// SPDX-License-Identifier: Apache-2.0
#include "store/read_ahead.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "store/archive_file.h"

namespace qstore::store {
namespace {

// Of a window, in reads: parents and children lie in two places of the archive, and each place
// shall fill a read.
constexpr uint64_t kWindowReads = 2;
constexpr uint64_t kWindowsDecoded = 1;  // Held while others are read.
// Known of before their units begin.
constexpr size_t kWindowsAhead = 64;
// Of a window, however little these read.
constexpr size_t kMostUnits = 4096;
// Of a window, before those that touch are put together.
constexpr size_t kMostExtents = 4096;
// Of a read: a gap that is cheaper to read than to ask anew for what is behind it.
constexpr uint64_t kGapPart = 64;

// Sorted, with those put together that touch or nearly do.
std::vector<Extent> PutTogether(std::vector<Extent> extents, uint64_t gap) {
  std::erase_if(extents, [](const Extent& extent) { return extent.size == 0; });
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> together;
  for (const Extent& extent : extents) {
    const uint64_t end = extent.offset + extent.size;
    if (!together.empty() && extent.offset <= together.back().offset + together.back().size + gap) {
      Extent& last = together.back();
      last.size = std::max(last.offset + last.size, end) - last.offset;
    } else {
      together.push_back(extent);
    }
  }
  return together;
}

}  // namespace

void AddChunk(const ArchiveFile& archive, uint32_t object, uint32_t chunk, AheadSet* whole,
              std::vector<Extent>* extents) {
  const format::ChunkEntry& entry = archive.chunk(object, chunk);
  extents->push_back({entry.offset, entry.stored_size});
  if (!archive.NeedsParents(object, chunk)) return;
  for (const uint32_t parent : archive.graph().whole_parents(object)) {
    AddWhole(archive, parent, whole, extents);
  }
  archive.ForEachRangeChunk(object, chunk, [&](uint32_t parent, uint32_t of_parent) {
    const uint32_t number = archive.index().objects[parent].first_chunk + of_parent;
    if (whole->objects.contains(parent) || !whole->AddChunk(number)) return;
    AddChunkWithAncestors(archive, parent, of_parent, whole, extents);
  });
}

void AddChunkWithAncestors(const ArchiveFile& archive, uint32_t object, uint32_t chunk,
                           AheadSet* whole, std::vector<Extent>* extents) {
  AddChunk(archive, object, chunk, whole, extents);
  while (archive.NeedsParents(object, chunk) && archive.graph().chunk_parent(object) != kNoObject) {
    object = archive.graph().chunk_parent(object);
    AddChunk(archive, object, chunk, whole, extents);
  }
}

void AddWhole(const ArchiveFile& archive, uint32_t object, AheadSet* whole,
              std::vector<Extent>* extents) {
  if (!whole->objects.insert(object).second) return;
  for (uint32_t chunk = 0; chunk < archive.index().objects[object].chunk_count; ++chunk) {
    AddChunkWithAncestors(archive, object, chunk, whole, extents);
  }
}

ReadAhead::ReadAhead(const ArchiveFile& archive, NextUnit next_unit)
    : archive_(archive),
      next_unit_(std::move(next_unit)),
      most_(archive.ReadAheadMemory()),
      threads_(
          [this](const base::PoolTurn&) {
            Work();
            return false;
          },
          base::PoolTask::Kind::kWaits) {
  const uint64_t reads = archive.options().read_ahead + kWindowReads * kWindowsDecoded;
  const uint64_t read_size = std::max<uint64_t>(1, archive.options().read_size);
  budget_ = std::min(most_, reads * std::min(read_size, most_));
  AskForThreads();
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  threads_.Stop();
}

// Makes the next window of the units that come next. Returns false when there are none, or no
// memory to know of them: then what they need is read when they need it.
bool ReadAhead::AddWindow() {
  const size_t before = windows_.size();
  const Status made = base::Guarded([this] {
    const uint64_t window_bytes =
        kWindowReads * std::max<uint64_t>(1, archive_.options().read_size);
    Window window;
    window.end_unit = windows_.empty() ? 0 : windows_.back().end_unit;
    std::vector<Extent> extents;
    uint64_t size = 0;
    size_t most = kMostExtents;
    while (!has_all_ && size < window_bytes && window.units_left < kMostUnits) {
      const size_t known = extents.size();
      has_all_ = !next_unit_(&extents);
      if (has_all_) break;
      ++window.units_left;
      ++window.end_unit;
      for (size_t e = known; e < extents.size(); ++e) size += extents[e].size;
      if (extents.size() < most) continue;
      extents = PutTogether(std::move(extents), 0);
      most = std::max(most, 2 * extents.size());
    }
    Cut(std::move(extents), &window);
    if (window.units_left > 0) windows_.push_back(std::move(window));
    return Status();
  });
  if (!made.ok()) has_all_ = true;
  return windows_.size() > before;
}

// Into reads. What is beyond the memory allowed is left to the threads that need it.
void ReadAhead::Cut(std::vector<Extent> extents, Window* window) const {
  const uint64_t read_size = std::max<uint64_t>(1, archive_.options().read_size);
  for (const Extent& extent : PutTogether(std::move(extents), read_size / kGapPart)) {
    const uint64_t count = (extent.size + read_size - 1) / read_size;
    const uint64_t each = (extent.size + count - 1) / count;
    for (uint64_t at = 0; at < extent.size; at += each) {
      auto piece = std::make_shared<Piece>();
      piece->extent = {extent.offset + at, std::min(each, extent.size - at)};
      if (piece->extent.size > most_ - window->bytes) return;
      window->bytes += piece->extent.size;
      window->pieces.push_back(std::move(piece));
    }
  }
}

// A single read is left to the thread that needs it, as are all that no other thread comes to.
void ReadAhead::AskForThreads() {
  size_t pieces = 0;
  while (pieces < archive_.options().read_ahead && windows_.size() < kWindowsAhead && AddWindow()) {
    pieces += windows_.back().pieces.size();
  }
  if (pieces < 2) return;
  threads_.Ask(std::min<size_t>(archive_.options().read_ahead, pieces));
}

void ReadAhead::Work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (const auto piece = NextWaiting()) {
      Fetch(piece.get(), &lock);
    } else if (has_all_ && next_window_ == windows_.size()) {
      return;
    } else {
      changed_.wait(lock);
    }
  }
}

// Null when there is none, or no room for its window yet.
std::shared_ptr<ReadAhead::Piece> ReadAhead::NextWaiting() {
  for (; next_window_ < begun_ + kWindowsAhead; ++next_window_, next_piece_ = 0) {
    if (next_window_ == windows_.size() && !AddWindow()) return nullptr;
    Window& window = windows_[next_window_];
    if (!window.pieces.empty() && !HasRoom(window)) return nullptr;
    while (next_piece_ < window.pieces.size()) {
      const auto& piece = window.pieces[next_piece_++];
      if (piece->state != State::kWaiting) continue;
      Hold(&window);
      return piece;
    }
  }
  return nullptr;
}

bool ReadAhead::HasRoom(const Window& window) const {
  return window.is_held || held_ == 0 || held_ + window.bytes <= budget_;
}

void ReadAhead::Hold(Window* window) {
  if (window->is_held) return;
  window->is_held = true;
  held_ += window->bytes;
}

void ReadAhead::Fetch(Piece* piece, std::unique_lock<std::mutex>* lock) {
  piece->state = State::kReading;
  lock->unlock();
  Status status = base::Guarded([&] {
    const auto size = static_cast<size_t>(piece->extent.size);
    piece->bytes.reset(new std::byte[size]);
    return archive_.Read(piece->extent.offset, {piece->bytes.get(), size});
  });
  lock->lock();
  piece->status = std::move(status);
  piece->state = State::kRead;
  changed_.notify_all();
}

size_t ReadAhead::WindowOf(size_t unit) const {
  const auto at = std::upper_bound(windows_.begin(), windows_.end(), unit,
                                   [](size_t u, const Window& w) { return u < w.end_unit; });
  return static_cast<size_t>(at - windows_.begin());
}

void ReadAhead::Begin(size_t unit) {
  const std::lock_guard lock(mutex_);
  while ((windows_.empty() || windows_.back().end_unit <= unit) && AddWindow()) {
  }
  const size_t begun = std::min(WindowOf(unit) + 1, windows_.size());
  if (begun <= begun_) return;
  begun_ = begun;
  changed_.notify_all();
}

void ReadAhead::Done(size_t unit) {
  const std::lock_guard lock(mutex_);
  const size_t number = WindowOf(unit);
  if (number == windows_.size()) return;
  Window& window = windows_[number];
  if (--window.units_left > 0) return;
  window.pieces.clear();
  if (window.is_held) held_ -= window.bytes;
  changed_.notify_all();
}

// From the latest window begun: only a few back have pieces still.
std::shared_ptr<ReadAhead::Piece> ReadAhead::Find(uint64_t offset) {
  for (size_t w = begun_; w-- > 0;) {
    Window& window = windows_[w];
    const auto after = std::upper_bound(
        window.pieces.begin(), window.pieces.end(), offset,
        [](uint64_t at, const std::shared_ptr<Piece>& p) { return at < p->extent.offset; });
    if (after == window.pieces.begin()) continue;
    const std::shared_ptr<Piece>& piece = *(after - 1);
    if (offset - piece->extent.offset >= piece->extent.size) continue;
    if (!window.is_held && held_ > 0 && window.bytes > most_ - std::min(most_, held_))
      return nullptr;
    Hold(&window);
    return piece;
  }
  return nullptr;
}

Status ReadAhead::Read(uint64_t offset, std::span<std::byte> out) {
  std::unique_lock lock(mutex_);
  while (!out.empty()) {
    const std::shared_ptr<Piece> piece = Find(offset);
    if (piece == nullptr) {
      lock.unlock();
      return archive_.Read(offset, out);
    }
    if (piece->state == State::kWaiting) Fetch(piece.get(), &lock);
    changed_.wait(lock, [&] { return piece->state == State::kRead; });
    QSTORE_TRY(piece->status);
    lock.unlock();
    const uint64_t skip = offset - piece->extent.offset;
    const size_t size =
        static_cast<size_t>(std::min<uint64_t>(piece->extent.size - skip, out.size()));
    std::memcpy(out.data(), piece->bytes.get() + skip, size);
    offset += size;
    out = out.subspan(size);
    lock.lock();
  }
  return {};
}

}  // namespace qstore::store
