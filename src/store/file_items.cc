// SPDX-License-Identifier: Apache-2.0
#include "store/file_items.h"

#include <algorithm>

namespace qstore::store {

void FileItems::Add(uint32_t file, std::span<const Part> parts) {
  FileItem item{file, false, 0, 0, pieces_.size(), pieces_.size()};
  uint64_t part_begin = 0;
  for (uint32_t p = 0; p < parts.size(); ++p) {
    uint32_t chunk = 0;
    for (uint64_t at = 0; at < parts[p].size; at += parts[p].chunk_bytes, ++chunk) {
      const bool full =
          item.end - item.begin >= kItemBytes || item.end_piece - item.first_piece >= kItemPieces;
      if (full) {
        items_.push_back(item);
        item = {file, false, item.end, item.end, pieces_.size(), pieces_.size()};
      }
      const uint64_t size = std::min(parts[p].chunk_bytes, parts[p].size - at);
      pieces_.push_back({p, chunk, part_begin + at, size});
      item.end += size;
      item.end_piece = pieces_.size();
    }
    part_begin += parts[p].size;
  }
  item.is_last = true;
  items_.push_back(item);
}

}  // namespace qstore::store
