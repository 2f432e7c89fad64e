// SPDX-License-Identifier: Apache-2.0
#include "store/archive_change.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/layout.h"
#include "store/pack_index.h"

namespace qstore::store {

Result<std::unique_ptr<ArchiveChange>> ArchiveChange::Begin(const std::filesystem::path& path,
                                                            bool sync) {
  std::unique_ptr<ArchiveChange> change(new ArchiveChange(sync));
  QSTORE_ASSIGN(change->file_, io::GrowingFile::Open(path));
  QSTORE_ASSIGN(change->archive_, ArchiveFile::Open(change->file_, path, OpenOptions()));
  change->header_ = change->archive_->header();
  return change;
}

Status ArchiveChange::WriteRoot(size_t place, const format::Root& root) {
  std::vector<std::byte> bytes;
  root.EncodeTo(&bytes);
  QSTORE_TRY(file_->Overwrite(
      format::Header::kEncodedSize - (header_.roots.size() - place) * bytes.size(), bytes));
  QSTORE_TRY(Sync());
  header_.roots[place] = root;
  return {};
}

// Where all of the file is the archive, the root comes first: a byte behind would damage it.
Status ArchiveChange::StartAppending() {
  const uint64_t length = archive_->footer().archive_size;
  if (std::max(header_.roots[0].generation, header_.roots[1].generation) == UINT64_MAX) {
    return LimitExceeded(archive_->path().string() + ": has no further generation");
  }
  if (!header_.has_root()) {
    made_root_ = true;
    QSTORE_TRY(WriteRoot(0, {1, length}));
  }
  has_begun_ = true;
  // A writer that was killed may have left bytes there.
  return file_->Truncate(length);
}

Status ArchiveChange::Commit(const format::Index& index) {
  QSTORE_ASSIGN(const std::vector<std::byte> end,
                EncodeEnd(index, writer().size(), format::Gaps::kAllowed));
  QSTORE_TRY(writer().Append(end));
  QSTORE_TRY(writer().Flush());
  QSTORE_TRY(Sync());
  return SwitchRoot(writer().size());
}

// All that the root leads to is on the disk.
Status ArchiveChange::SwitchRoot(uint64_t length) {
  const auto& roots = header_.roots;
  const size_t newest = roots[0].generation > roots[1].generation ? 0 : 1;
  const size_t place = 1 - newest;
  const format::Root before = roots[place];
  const Status written = WriteRoot(place, {roots[newest].generation + 1, length});
  // What a root leads to is not taken away unless it surely is no root any more.
  has_begun_ = !written.ok() && WriteRoot(place, before).ok();
  made_root_ = made_root_ && has_begun_;
  return written;
}

// In this order, since an archive without roots ends with the file. Whatever fails leaves a root.
void ArchiveChange::TakeBack() {
  const bool is_cut = !has_begun_ || file_->Truncate(archive_->footer().archive_size).ok();
  if (!made_root_ || !is_cut || !Sync().ok()) return;
  static_cast<void>(WriteRoot(0, {}));
}

ArchiveChange::~ArchiveChange() {
  if (!has_begun_ && !made_root_) return;
  static_cast<void>(base::Guarded([this] {
    TakeBack();
    return Status();
  }));
}

}  // namespace qstore::store
