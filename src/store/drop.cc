// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/layout.h"
#include "qstore/change.h"
#include "store/archive_change.h"
#include "store/select_objects.h"

namespace qstore {
namespace store {
namespace {

// By variant: whether it stays.
Result<std::vector<bool>> Kept(const ArchiveFile& archive, std::span<const std::string> dropped) {
  const auto& variants = archive.index().variants;
  if (dropped.empty()) return InvalidArgument("no variant given");
  std::vector<bool> kept(variants.size(), true);
  for (const std::string& name : dropped) {
    const auto found = std::ranges::find(variants, name, &format::VariantEntry::name);
    if (found == variants.end()) {
      return NotFound(archive.path().string() + ": no variant is named '" + name + "'");
    }
    kept[static_cast<size_t>(found - variants.begin())] = false;
  }
  if (std::ranges::find(kept, true) == kept.end()) {
    return InvalidArgument(archive.path().string() + ": no variant would be left");
  }
  return kept;
}

Result<DropReport> RunDrop(const std::filesystem::path& path, std::span<const std::string> variants,
                           const DropOptions& options) {
  QSTORE_ASSIGN(const auto change, ArchiveChange::Begin(path, options.sync));
  const format::Index& index = change->archive().index();
  QSTORE_ASSIGN(const std::vector<bool> kept, Kept(change->archive(), variants));
  const format::Index rest = SelectObjects(index, kept, ObjectsNeeded(index, kept));
  QSTORE_TRY(change->StartAppending());
  DropReport report;
  report.dead_bytes = change->writer().size() - format::Header::kEncodedSize;
  for (const format::ChunkEntry& chunk : rest.chunks) report.dead_bytes -= chunk.stored_size;
  QSTORE_TRY(change->Commit(rest));
  report.stored_bytes = change->writer().size();
  return report;
}

}  // namespace
}  // namespace store

Result<DropReport> Drop(const std::filesystem::path& archive, std::span<const std::string> variants,
                        const DropOptions& options) {
  return base::Guarded([&] { return store::RunDrop(archive, variants, options); });
}

}  // namespace qstore
