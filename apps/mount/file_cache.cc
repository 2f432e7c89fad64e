// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/file_cache.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "mount/block_cache.h"

namespace qstore::mount {
namespace {

// Of the memory, in eighths: content, scratch, and parents kept. The last two are what is left to
// the index, buffers of the system and the process itself.
constexpr uint64_t kContentShare = 4;
constexpr uint64_t kScratchShare = 2;
constexpr uint64_t kKeptShare = 1;
constexpr uint64_t kShares = 8;
// Few blocks would be pushed out before they are read.
constexpr size_t kFewestPlaces = 4;
// Blocks under way for one reader: each thread has one, and one to go on with.
constexpr uint64_t kBlocksPerThread = 2;
constexpr uint64_t kFewestAhead = 4;
// Requests that a server answers at once.
constexpr unsigned kSlowThreads = 16;

}  // namespace

class FileCache::Impl {
 public:
  static Result<std::unique_ptr<Impl>> Make(const Archive& archive,
                                            const FileCacheOptions& options) {
    auto impl = std::unique_ptr<Impl>(new Impl(archive, options));
    BlockCache::Options blocks;
    blocks.place_bytes = static_cast<size_t>(impl->reader_.most_stretch_bytes());
    blocks.places = std::max<size_t>(kFewestPlaces,
                                     options.memory / kShares * kContentShare / blocks.place_bytes);
    blocks.threads = impl->threads_;
    if (options.is_slow) blocks.kind = base::PoolTask::Kind::kWaits;
    impl->most_ahead_ =
        std::min<uint64_t>(std::max(kFewestAhead, kBlocksPerThread * impl->threads_),
                           blocks.places / 2) *
        blocks.place_bytes;
    QSTORE_ASSIGN(impl->blocks_,
                  BlockCache::Make(blocks, [impl = impl.get()](const Block& block, auto out) {
                    return impl->reader_.Read(block.file, block.begin, out);
                  }));
    return impl;
  }

  const FileReader& reader() const { return reader_; }

  Result<Piece> Find(Reading* reading, uint64_t offset, uint64_t most) {
    QSTORE_ASSIGN(const FileStretch stretch, reader_.StretchAt(reading->file(), offset));
    ReadAhead(reading, stretch);
    QSTORE_ASSIGN(BlockCache::Hold hold,
                  blocks_->Get({reading->file(), stretch.begin, stretch.end}));
    auto held = std::make_shared<const BlockCache::Hold>(std::move(hold));
    auto bytes = held->bytes().subspan(static_cast<size_t>(offset - stretch.begin));
    bytes = bytes.first(static_cast<size_t>(std::min<uint64_t>(bytes.size(), most)));
    held->Use(bytes.size());
    return Piece(bytes, std::move(held));
  }

 private:
  Impl(const Archive& archive, const FileCacheOptions& options)
      : archive_(archive),
        reader_(archive,
                {options.memory / kShares * kScratchShare, options.memory / kShares * kKeptShare}),
        threads_(options.is_slow ? kSlowThreads : base::ThreadCount(options.threads)) {}

  // Notes what is read, and asks for what a reader that goes on will want. Several threads of one
  // reader may come a little out of order.
  void ReadAhead(Reading* reading, const FileStretch& stretch) {
    const std::lock_guard lock(reading->mutex_);
    FileStretch& last = reading->last_;
    if (stretch.begin < last.end && stretch.end > last.begin) return;
    const uint64_t reached = std::max(last.end, reading->ahead_end_);
    const bool goes_on = stretch.begin >= last.end && stretch.begin <= reached;
    const bool comes_late = stretch.end <= last.begin && last.begin - stretch.end <= most_ahead_;
    if (comes_late && reading->window_ > 0) return;
    last = stretch;
    if (!goes_on) {
      reading->window_ = 0;
      reading->ahead_end_ = 0;
      return;
    }
    const uint64_t size = stretch.end - stretch.begin;
    reading->window_ = std::clamp(2 * reading->window_, size, std::max(size, most_ahead_));
    const uint64_t end =
        std::min(archive_.file(reading->file()).size, stretch.end + reading->window_);
    uint64_t at = std::max(stretch.end, reading->ahead_end_);
    while (at < end) {
      const auto next = reader_.StretchAt(reading->file(), at);
      if (!next.ok() || !blocks_->Prefetch({reading->file(), next->begin, next->end})) break;
      at = next->end;
    }
    reading->ahead_end_ = at;
  }

  const Archive& archive_;
  const FileReader reader_;
  const unsigned threads_;
  uint64_t most_ahead_ = 0;
  std::unique_ptr<BlockCache> blocks_;  // Its threads read by reader_.
};

FileCache::FileCache(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FileCache::~FileCache() = default;

Result<std::unique_ptr<FileCache>> FileCache::Make(const Archive& archive,
                                                   const FileCacheOptions& options) {
  return base::Guarded([&]() -> Result<std::unique_ptr<FileCache>> {
    QSTORE_ASSIGN(auto impl, Impl::Make(archive, options));
    return std::unique_ptr<FileCache>(new FileCache(std::move(impl)));
  });
}

const FileReader& FileCache::reader() const { return impl_->reader(); }

Result<FileCache::Piece> FileCache::Find(Reading* reading, uint64_t offset, uint64_t most) {
  return base::Guarded([&] { return impl_->Find(reading, offset, most); });
}

Status FileCache::Read(Reading* reading, uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    QSTORE_ASSIGN(const Piece piece, Find(reading, offset, out.size()));
    const auto bytes = piece.bytes();
    std::memcpy(out.data(), bytes.data(), bytes.size());
    offset += bytes.size();
    out = out.subspan(bytes.size());
  }
  return {};
}

}  // namespace qstore::mount
