// SPDX-License-Identifier: Apache-2.0
#include "store/file_stretches.h"

#include <algorithm>

#include "store/file_items.h"
#include "store/small_objects.h"

namespace qstore::store {
namespace {

// What is not divided: a chunk, or a small object whatever its chunks.
uint64_t PieceBytes(const format::ObjectEntry& object) {
  return object.byte_size <= SmallObjects::kMost ? object.byte_size : object.chunk_bytes();
}

}  // namespace

FileStretches::FileStretches(const ArchiveFile& archive) : archive_(archive) {
  uint64_t most_piece = 0;
  for (const format::ObjectEntry& object : archive.index().objects) {
    most_piece = std::max(most_piece, std::min(PieceBytes(object), object.byte_size));
  }
  most_bytes_ = kItemBytes - 1 + std::max<uint64_t>(1, most_piece);
}

FileStretches::List FileStretches::Cut(uint32_t file) const {
  const format::Index& index = archive_.index();
  const format::FileEntry& entry = index.files[file];
  ItemCutter cutter;
  cutter.Begin(file, entry.parts.size());
  const auto part_at = [&](uint32_t part) {
    const format::ObjectEntry& object = index.objects[index.parts[entry.parts.begin + part]];
    return FilePart{object.byte_size, PieceBytes(object)};
  };
  List list;
  FileItem item;
  std::vector<Piece> pieces;
  while (cutter.Next(part_at, &item, &pieces)) {
    if (pieces.empty()) continue;
    const Piece& first = pieces.front();
    const uint64_t in_part = first.chunk * part_at(first.part).chunk_bytes;
    list.push_back({item.begin, first.part, first.begin - in_part});
  }
  list.shrink_to_fit();
  return list;
}

std::shared_ptr<const FileStretches::List> FileStretches::ListOf(uint32_t file) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = lists_.find(file);
    if (found != lists_.end()) return found->second;
  }
  auto list = std::make_shared<const List>(Cut(file));
  const std::lock_guard lock(mutex_);
  return lists_.emplace(file, std::move(list)).first->second;
}

PlacedStretch FileStretches::At(uint32_t file, uint64_t offset, uint64_t* end) {
  const auto list = ListOf(file);
  const auto after = std::upper_bound(
      list->begin(), list->end(), offset,
      [](uint64_t at, const PlacedStretch& stretch) { return at < stretch.begin; });
  *end = after == list->end() ? archive_.index().files[file].size : after->begin;
  return *(after - 1);
}

}  // namespace qstore::store
