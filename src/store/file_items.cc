// SPDX-License-Identifier: Apache-2.0
#include "store/file_items.h"

#include <algorithm>

namespace qstore::store {

void ItemCutter::Begin(uint32_t file, uint32_t part_count) {
  *this = ItemCutter();
  file_ = file;
  part_count_ = part_count;
  is_done_ = false;
}

void ItemCutter::Skip(const PartAt& part_at) {
  while (at_ == here_.size && part_ < part_count_) {
    begin_ += here_.size;
    here_ = part_at(part_++);
    at_ = 0;
    chunk_ = 0;
  }
}

bool ItemCutter::Next(const PartAt& part_at, FileItem* item, std::vector<Piece>* pieces) {
  pieces->clear();
  if (is_done_) return false;
  Skip(part_at);
  *item = {file_, false, begin_ + at_, begin_ + at_};
  for (; at_ < here_.size; Skip(part_at)) {
    if (item->end - item->begin >= kItemBytes || pieces->size() >= kItemPieces) return true;
    const uint64_t size = std::min(here_.chunk_bytes, here_.size - at_);
    pieces->push_back({part_ - 1, chunk_++, begin_ + at_, size});
    at_ += size;
    item->end += size;
  }
  item->is_last = true;
  is_done_ = true;
  return true;
}

void FileItems::Add(uint32_t file, std::span<const FilePart> parts) {
  ItemCutter cutter;
  FileItem item;
  std::vector<Piece> pieces;
  cutter.Begin(file, static_cast<uint32_t>(parts.size()));
  while (cutter.Next([&](uint32_t part) { return parts[part]; }, &item, &pieces)) {
    items_.push_back(item);
    pieces_.insert(pieces_.end(), pieces.begin(), pieces.end());
    ends_.push_back(pieces_.size());
  }
}

}  // namespace qstore::store
