// SPDX-License-Identifier: Apache-2.0
#include "qstore/pack.h"

#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/layout.h"
#include "format/names.h"
#include "io/output_file.h"
#include "store/pack_encoder.h"
#include "store/pack_index.h"
#include "store/pack_plan.h"
#include "store/source_checks.h"
#include "store/source_model.h"

namespace qstore {
namespace {

Result<PackReport> RunPack(std::span<const VariantSource> variants,
                           const std::filesystem::path& output, const PackOptions& options) {
  QSTORE_ASSIGN(std::vector<store::SourceVariant> sources, store::ListSources(variants));
  QSTORE_TRY(store::CheckOutputIsNoInput(sources, output));
  PackReport report;
  report.source_bytes = store::SourceBytes(sources);
  // Made before the work, so that a name that cannot be written to is found at once.
  QSTORE_ASSIGN(auto file, io::OutputFile::Create(output, {options.overwrite, options.sync}));

  const unsigned threads = base::ThreadCount(options.threads);
  store::PlanOptions plan_options{
      options.level, threads, options.parents, options.direct, [&]() -> Status {
        if (!options.progress || options.progress({0, report.source_bytes})) {
          return {};
        }
        return Cancelled();
      }};
  QSTORE_ASSIGN(const store::PackPlan plan, store::MakePlan(std::move(sources), plan_options));

  std::vector<std::byte> header;
  format::Header().EncodeTo(&header);
  QSTORE_TRY(file->Append(header));
  QSTORE_ASSIGN(store::EncodedObjects encoded,
                store::EncodeObjects(plan, options, threads, &file->writer()));
  QSTORE_TRY(store::CheckSourcesUnchanged(plan.variants));
  QSTORE_ASSIGN(const std::vector<std::byte> end,
                store::EncodeEnd(store::MakeIndex(plan, std::move(encoded)), file->size()));
  QSTORE_TRY(file->Append(end));
  report.stored_bytes = file->size();
  QSTORE_TRY(file->Commit());
  return report;
}

}  // namespace

Status CheckVariantName(std::string_view name) {
  return base::Guarded([&] { return format::CheckVariantName(name); });
}

Result<PackReport> Pack(std::span<const VariantSource> variants,
                        const std::filesystem::path& output, const PackOptions& options) {
  return base::Guarded([&] { return RunPack(variants, output, options); });
}

}  // namespace qstore
