// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace qstore::store {

/// Bytes of a file that one pipeline item takes, as far as chunks allow: large enough that a read
/// costs little, small enough that decoded bytes are still in the cache when they are written.
inline constexpr uint64_t kItemBytes = uint64_t{1} << 20;
/// Tiny parts cost time by number, not by size.
inline constexpr size_t kItemPieces = 256;

/// One of the parts that lie end to end in a file.
struct FilePart {
  uint64_t size = 0;
  uint64_t chunk_bytes = 0;
};

/// One chunk of one part of a file.
struct Piece {
  uint32_t part = 0;
  uint32_t chunk = 0;
  uint64_t begin = 0;  ///< In the file.
  uint64_t size = 0;
};

/// Consecutive pieces of a file, processed together.
struct FileItem {
  uint32_t file = 0;
  bool is_last = false;  ///< Of its file.
  uint64_t begin = 0;    ///< In the file.
  uint64_t end = 0;
};

/// Cuts a file into items, one after the other.
class ItemCutter {
 public:
  using PartAt = std::function<FilePart(uint32_t part)>;

  /// Goes on with a file of parts 0 to `part_count` - 1.
  void Begin(uint32_t file, uint32_t part_count);
  /// The next item and its pieces, which replace those in `pieces`: one without pieces for an empty
  /// file. Returns false when the last one of the file has been given.
  bool Next(const PartAt& part_at, FileItem* item, std::vector<Piece>* pieces);

 private:
  // To the next part with content that is left.
  void Skip(const PartAt& part_at);

  uint32_t file_ = 0;
  uint32_t part_count_ = 0;
  bool is_done_ = true;
  uint32_t part_ = 0;
  uint32_t chunk_ = 0;
  FilePart here_;
  uint64_t at_ = 0;     // In the part.
  uint64_t begin_ = 0;  // Of the part, in the file.
};

/// The items of files, in the order these were added.
class FileItems {
 public:
  void Add(uint32_t file, std::span<const FilePart> parts);

  const std::vector<FileItem>& items() const { return items_; }
  std::span<const Piece> pieces(size_t item) const {
    return std::span(pieces_).subspan(ends_[item], ends_[item + 1] - ends_[item]);
  }

 private:
  std::vector<FileItem> items_;
  std::vector<size_t> ends_ = {0};  // In pieces_: of the items before the first, the second, ...
  std::vector<Piece> pieces_;
};

}  // namespace qstore::store
