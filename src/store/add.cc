// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/limits.h"
#include "qstore/change.h"
#include "store/archive_change.h"
#include "store/pack_encoder.h"
#include "store/pack_index.h"
#include "store/pack_plan.h"
#include "store/source_checks.h"
#include "store/source_model.h"
#include "store/stored_model.h"

namespace qstore {
namespace store {
namespace {

Status CheckNames(const ArchiveFile& archive, std::span<const SourceVariant> added) {
  const auto& variants = archive.index().variants;
  for (const SourceVariant& variant : added) {
    const bool is_there = std::ranges::any_of(
        variants, [&](const format::VariantEntry& entry) { return entry.name == variant.name; });
    if (is_there) {
      return AlreadyExists(archive.path().string() + ": has a variant '" + variant.name +
                           "' already");
    }
  }
  if (variants.size() + added.size() > format::kMaxVariants) {
    return LimitExceeded(archive.path().string() + ": would have more than 1024 variants");
  }
  return {};
}

PackOptions PackOptionsOf(const AddOptions& options, const ArchiveFile& archive) {
  PackOptions pack;
  pack.level = options.level;
  pack.memory_limit = options.memory_limit;
  pack.sha256 = !archive.index().sha256.empty();
  pack.progress = options.progress;
  return pack;
}

Result<AddReport> RunAdd(const std::filesystem::path& path, std::span<const VariantSource> variants,
                         const AddOptions& options) {
  QSTORE_ASSIGN(std::vector<SourceVariant> sources, ListSources(variants));
  QSTORE_TRY(CheckOutputIsNoInput(sources, path));
  AddReport report;
  report.source_bytes = SourceBytes(sources);
  QSTORE_ASSIGN(const auto change, ArchiveChange::Begin(path, options.sync));
  const ArchiveFile& archive = change->archive();
  QSTORE_TRY(CheckNames(archive, sources));

  const unsigned threads = base::ThreadCount(options.threads);
  const PlanOptions plan_options{
      options.level, threads, options.parents, options.direct, [&]() -> Status {
        const bool goes_on = !options.progress || options.progress({0, report.source_bytes});
        return goes_on ? Status() : Cancelled();
      }};
  QSTORE_ASSIGN(StoredModel stored, ListStored(std::make_shared<StoredContents>(&archive)));
  QSTORE_ASSIGN(const PackPlan plan, MakePlan(std::move(sources), plan_options, std::move(stored)));

  QSTORE_TRY(change->StartAppending());
  const uint64_t begin = change->writer().size();
  QSTORE_ASSIGN(EncodedObjects encoded,
                EncodeObjects(plan, PackOptionsOf(options, archive), threads, &change->writer()));
  QSTORE_TRY(CheckSourcesUnchanged(plan.variants));
  report.added_bytes = change->writer().size() - begin;
  QSTORE_TRY(change->Commit(MakeIndex(plan, std::move(encoded))));
  report.read_bytes = archive.bytes_read();
  report.stored_bytes = change->writer().size();
  return report;
}

}  // namespace
}  // namespace store

Result<AddReport> Add(const std::filesystem::path& archive, std::span<const VariantSource> variants,
                      const AddOptions& options) {
  return base::Guarded([&] { return store::RunAdd(archive, variants, options); });
}

}  // namespace qstore
