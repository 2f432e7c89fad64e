// SPDX-License-Identifier: Apache-2.0
#include "store/header_check.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/status_macros.h"
#include "container/registry.h"
#include "format/limits.h"
#include "io/safetensors.h"
#include "store/archive_file.h"
#include "store/memory_needs.h"
#include "store/object_cache.h"

namespace qstore::store {
namespace {

constexpr uint64_t kLargeHeader = uint64_t{1} << 20;

/// A file's rows of the tensor table, and what the entries of a header make of them.
class TensorTable {
 public:
  TensorTable(const format::Index& index, const format::FileEntry& file)
      : index_(index), file_(file), found_(file.tensors.size(), Found::kNothing) {
    offsets_.reserve(file.parts.size());
    const uint32_t head_end = index.HeadOf(file).end;
    uint64_t offset = 0;
    for (uint32_t p = file.parts.begin; p < file.parts.end; ++p) {
      offsets_.push_back(offset);
      if (p >= head_end) offset += index.objects[index.parts[p]].byte_size;
    }
  }

  size_t size() const { return found_.size(); }
  /// As a header has it.
  container::Entry EntryOf(size_t i) const {
    const format::TensorEntry& row = Row(i);
    const auto shape = index_.shape(row);
    const uint64_t begin = offsets_[row.part - file_.parts.begin];
    const uint64_t size = index_.objects[index_.parts[row.part]].byte_size;
    return {row.name, row.dtype, shape, begin, begin + size};
  }

  /// Errors: kCorrupt, when no row has that name.
  Status Compare(const container::Entry& entry) {
    const size_t i = Find(entry.name);
    if (i == size()) {
      return Corrupt("tensor " + io::QuotedName(entry.name) +
                     " is in the header of the file, but not in the index");
    }
    next_ = i + 1;
    found_[i] = Judge(i, entry);
    return {};
  }
  /// Whether the last entry for every row was equal to it.
  Status Finish() const {
    for (size_t i = 0; i < size(); ++i) {
      if (found_[i] == Found::kRight) continue;
      const std::string tensor = "tensor " + io::QuotedName(Row(i).name);
      if (found_[i] == Found::kNothing) {
        return Corrupt(tensor + " is in the index, but not in the header of the file");
      }
      const char* const what = found_[i] == Found::kDType   ? "dtype"
                               : found_[i] == Found::kShape ? "shape"
                                                            : "place";
      return Corrupt(tensor + " has another " + what + " in the index than in the header");
    }
    return {};
  }

 private:
  enum class Found : uint8_t { kNothing, kRight, kDType, kShape, kPlace };

  const format::TensorEntry& Row(size_t i) const { return index_.tensors[file_.tensors.begin + i]; }

  // The row of that name, or size(). Headers mostly go by name too, in stretches.
  size_t Find(std::string_view name) const {
    if (next_ < size() && Row(next_).name == name) return next_;
    const auto begin = index_.tensors.begin() + file_.tensors.begin;
    const auto end = index_.tensors.begin() + file_.tensors.end;
    const auto at = std::lower_bound(
        begin, end, name,
        [](const format::TensorEntry& row, std::string_view n) { return row.name < n; });
    return at != end && at->name == name ? static_cast<size_t>(at - begin) : size();
  }

  Found Judge(size_t i, const container::Entry& entry) const {
    const format::TensorEntry& row = Row(i);
    if (entry.dtype != row.dtype) return Found::kDType;
    if (!std::ranges::equal(entry.shape, index_.shape(row))) return Found::kShape;
    const uint64_t begin = offsets_[row.part - file_.parts.begin];
    const uint64_t size = index_.objects[index_.parts[row.part]].byte_size;
    return entry.begin == begin && entry.end == begin + size ? Found::kRight : Found::kPlace;
  }

  const format::Index& index_;
  const format::FileEntry& file_;
  // By object of the file, from the end of those before the first tensor on.
  std::vector<uint64_t> offsets_;
  std::vector<Found> found_;
  size_t next_ = 0;
};

Status DecodeWhole(const ArchiveFile& archive, uint32_t object, std::span<std::byte> content) {
  ObjectCache parents({[&](ContentId id) { return WholeShape(archive, id); },
                       [&](ContentId id, size_t block, std::span<std::byte> out) {
                         return DecodeBlock(archive, nullptr, id, block, &parents, out);
                       }},
                      NeedsOf(archive, object).wholes);
  const size_t blocks = WholeShape(archive, object).blocks;
  for (size_t block = 0; block < blocks; ++block) {
    QSTORE_TRY(DecodeBlock(archive, nullptr, object, block, &parents, content));
  }
  return {};
}

}  // namespace

std::vector<uint32_t> HeadObjects(const format::Index& index, const format::FileEntry& file) {
  const format::Range front = index.HeadOf(file);
  const auto begin = index.parts.begin();
  std::vector<uint32_t> objects(begin + front.begin, begin + front.end);
  const container::Container* container = container::FindContainer(file.container);
  if (container == nullptr || !container->HasHeadersBetween()) return objects;
  std::vector<bool> is_tensor(file.parts.size());
  for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
    is_tensor[index.tensors[t].part - file.parts.begin] = true;
  }
  for (uint32_t p = front.end; p < file.parts.end; ++p) {
    if (!is_tensor[p - file.parts.begin]) objects.push_back(index.parts[p]);
  }
  return objects;
}

HeaderCheck::HeaderCheck(const ArchiveFile& archive)
    : archive_(archive),
      is_checked_(std::make_unique<std::atomic<bool>[]>(archive.index().files.size())) {}

bool HeaderCheck::IsChecked(uint32_t file) const {
  return archive_.index().files[file].container == kNoContainer ||
         is_checked_[file].load(std::memory_order_acquire);
}

HeaderCheck::Header* HeaderCheck::HeaderOf(const format::FileEntry& file) const {
  const std::lock_guard lock(mutex_);
  const format::Index& index = archive_.index();
  const std::vector<uint32_t> objects = HeadObjects(index, file);
  std::vector<uint32_t> key = {file.container};
  key.insert(key.end(), objects.begin(), objects.end());
  auto& header = headers_[std::move(key)];
  if (header == nullptr) header = std::make_unique<Header>();
  return header.get();
}

Status HeaderCheck::Check(uint32_t f) const {
  if (IsChecked(f)) return {};
  const format::FileEntry& file = archive_.index().files[f];
  Header* const header = HeaderOf(file);
  const std::lock_guard lock(header->mutex);
  if (IsChecked(f)) return {};
  if (header->right_file) {
    QSTORE_TRY(CompareByFile(file, archive_.index().files[*header->right_file]));
  } else {
    QSTORE_TRY(CompareByHeader(file));
    header->right_file = f;
  }
  is_checked_[f].store(true, std::memory_order_release);
  return {};
}

Status HeaderCheck::CompareByHeader(const format::FileEntry& file) const {
  const format::Index& index = archive_.index();
  const std::vector<uint32_t> objects = HeadObjects(index, file);
  uint64_t size = 0;
  MemoryNeeds needs;
  for (const uint32_t object : objects) {
    size += index.objects[object].byte_size;
    needs.Join(NeedsOf(archive_, object));
  }
  const auto named = [&](const Status& status) {
    return archive_.Explained(
        status.WithContext(archive_.path().string() + ": file " + io::QuotedName(file.path)));
  };
  const container::Container& container = *container::FindContainer(file.container);
  if (size > container.MaxHeadBytes()) {
    return named(Corrupt("a header of " + std::to_string(size) + " bytes is none of " +
                         std::string(container.name())));
  }
  const uint64_t names = container.MemoryOfEntry() * file.tensors.size();
  const uint64_t bytes = size + needs.thread + needs.wholes + names;
  if (bytes > archive_.MemoryLeft()) {
    return archive_.BeyondMemory("the header of file " + io::QuotedName(file.path), bytes);
  }
  std::unique_lock<std::mutex> large;
  if (size > kLargeHeader) large = std::unique_lock(large_);
  WholeMemory memory;
  QSTORE_TRY(memory.Allocate(static_cast<size_t>(size)));
  auto rest = memory.bytes();
  for (const uint32_t object : objects) {
    const auto part = static_cast<size_t>(index.objects[object].byte_size);
    QSTORE_TRY(DecodeWhole(archive_, object, rest.first(part)));
    rest = rest.subspan(part);
  }
  TensorTable table(index, file);
  const Status read =
      container.ReadHead(memory.bytes(), format::kMaxRank,
                         [&](const container::Entry& entry) { return table.Compare(entry); });
  return named(read.ok() ? table.Finish() : read);
}

Status HeaderCheck::CompareByFile(const format::FileEntry& file,
                                  const format::FileEntry& right) const {
  TensorTable table(archive_.index(), file);
  const TensorTable of_right(archive_.index(), right);
  Status status;
  for (size_t i = 0; i < of_right.size() && status.ok(); ++i) {
    status = table.Compare(of_right.EntryOf(i));
  }
  if (status.ok()) status = table.Finish();
  return status.WithContext(archive_.path().string() + ": file " + io::QuotedName(file.path));
}

}  // namespace qstore::store
