// SPDX-License-Identifier: Apache-2.0
#include "store/read_ahead.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

#include "base/status_macros.h"
#include "store/archive_file.h"

namespace qstore::store {
namespace {

// Of a window, in reads: parents and children lie in two places of the archive, and each place
// shall fill a read.
constexpr uint64_t kWindowReads = 2;
constexpr uint64_t kWindowsDecoded = 1;  // Held while others are read.
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

void AddChunk(const ArchiveFile& archive, uint32_t object, uint32_t chunk,
              std::unordered_set<uint32_t>* whole, std::vector<Extent>* extents) {
  const format::ChunkEntry& entry = archive.chunk(object, chunk);
  extents->push_back({entry.offset, entry.stored_size});
  if (!archive.NeedsParents(object, chunk)) return;
  for (const uint32_t parent : archive.index().objects[object].whole_parents()) {
    AddWhole(archive, parent, whole, extents);
  }
}

void AddChunkWithAncestors(const ArchiveFile& archive, uint32_t object, uint32_t chunk,
                           std::unordered_set<uint32_t>* whole, std::vector<Extent>* extents) {
  AddChunk(archive, object, chunk, whole, extents);
  while (archive.NeedsParents(object, chunk) &&
         archive.index().objects[object].has_chunked_base()) {
    object = archive.index().objects[object].base;
    AddChunk(archive, object, chunk, whole, extents);
  }
}

void AddWhole(const ArchiveFile& archive, uint32_t object, std::unordered_set<uint32_t>* whole,
              std::vector<Extent>* extents) {
  if (!whole->insert(object).second) return;
  for (uint32_t chunk = 0; chunk < archive.index().objects[object].chunk_count; ++chunk) {
    AddChunkWithAncestors(archive, object, chunk, whole, extents);
  }
}

ReadAhead::ReadAhead(const ArchiveFile& archive, size_t unit_count, const ExtentsOf& extents_of)
    : archive_(archive) {
  const uint64_t read_size = std::max<uint64_t>(1, archive.options().read_size);
  const uint64_t window_bytes = kWindowReads * read_size;
  budget_ = archive.options().read_ahead * read_size + kWindowsDecoded * window_bytes;
  std::vector<Extent> extents;
  size_t first_unit = 0;
  uint64_t size = 0;
  for (size_t unit = 0; unit < unit_count; ++unit) {
    const size_t before = extents.size();
    extents_of(unit, &extents);
    for (size_t e = before; e < extents.size(); ++e) size += extents[e].size;
    if (size < window_bytes && unit + 1 < unit_count) continue;
    AddWindow(first_unit, unit + 1, std::exchange(extents, {}));
    first_unit = unit + 1;
    size = 0;
  }
  StartThreads();
}

ReadAhead::~ReadAhead() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ReadAhead::AddWindow(size_t first_unit, size_t end_unit, std::vector<Extent> extents) {
  const uint64_t read_size = std::max<uint64_t>(1, archive_.options().read_size);
  Window window;
  window.end_unit = end_unit;
  window.units_left = end_unit - first_unit;
  for (const Extent& extent : PutTogether(std::move(extents), read_size / kGapPart)) {
    const uint64_t count = (extent.size + read_size - 1) / read_size;
    const uint64_t each = (extent.size + count - 1) / count;
    for (uint64_t at = 0; at < extent.size; at += each) {
      auto piece = std::make_shared<Piece>();
      piece->extent = {extent.offset + at, std::min(each, extent.size - at)};
      window.pieces.push_back(std::move(piece));
    }
    window.bytes += extent.size;
  }
  windows_.push_back(std::move(window));
}

// A single read is left to the thread that needs it, as are all when the system has no threads.
void ReadAhead::StartThreads() {
  size_t pieces = 0;
  for (const Window& window : windows_) pieces += window.pieces.size();
  if (pieces < 2) return;
  const size_t count = std::min<size_t>(archive_.options().read_ahead, pieces);
  try {
    while (threads_.size() < count) threads_.emplace_back([this] { Work(); });
  } catch (const std::system_error&) {
  }
}

void ReadAhead::Work() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    if (const auto piece = NextWaiting()) {
      Fetch(piece.get(), &lock);
    } else if (next_window_ == windows_.size()) {
      return;
    } else {
      changed_.wait(lock);
    }
  }
}

// Null when there is none, or no room for its window yet.
std::shared_ptr<ReadAhead::Piece> ReadAhead::NextWaiting() {
  for (; next_window_ < windows_.size(); ++next_window_, next_piece_ = 0) {
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
  Status status;
  try {
    const auto size = static_cast<size_t>(piece->extent.size);
    piece->bytes.reset(new std::byte[size]);
    status = archive_.Read(piece->extent.offset, {piece->bytes.get(), size});
  } catch (const std::bad_alloc&) {
    status = LimitExceeded("out of memory");
  } catch (const std::exception& error) {
    status = InternalError(std::string("unexpected exception: ") + error.what());
  }
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
  begun_ = std::max(begun_, WindowOf(unit) + 1);
}

void ReadAhead::Done(size_t unit) {
  const std::lock_guard lock(mutex_);
  Window& window = windows_[WindowOf(unit)];
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
