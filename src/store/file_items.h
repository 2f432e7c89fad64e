// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qstore::store {

/// Bytes of a file that one pipeline item takes, as far as chunks allow: large enough that a read
/// costs little, small enough that decoded bytes are still in the cache when they are written.
inline constexpr uint64_t kItemBytes = uint64_t{1} << 20;
/// Tiny parts cost time by number, not by size.
inline constexpr size_t kItemPieces = 256;

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
  size_t first_piece = 0;
  size_t end_piece = 0;
};

/// Files cut into items, in the order they were added.
class FileItems {
 public:
  struct Part {
    uint64_t size = 0;
    uint64_t chunk_bytes = 0;
  };
  /// Adds the items of a file whose parts lie end to end; one without pieces for an empty file.
  void Add(uint32_t file, std::span<const Part> parts);

  const std::vector<FileItem>& items() const { return items_; }
  std::span<const Piece> pieces(const FileItem& item) const {
    return std::span(pieces_).subspan(item.first_piece, item.end_piece - item.first_piece);
  }

 private:
  std::vector<FileItem> items_;
  std::vector<Piece> pieces_;
};

}  // namespace qstore::store
