// SPDX-License-Identifier: Apache-2.0
#include "qstore/pack.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/index.h"
#include "format/layout.h"
#include "format/names.h"
#include "io/output_file.h"
#include "store/pack_encoder.h"
#include "store/pack_plan.h"
#include "store/source_model.h"

namespace qstore {
namespace store {
namespace {

// Overwriting an input would destroy it in the moment of success.
Status CheckOutputIsNoInput(const std::vector<SourceVariant>& variants,
                            const std::filesystem::path& output) {
  std::error_code ignored;
  if (!std::filesystem::exists(output, ignored)) return {};
  for (const SourceVariant& variant : variants) {
    for (const SourceFileEntry& file : variant.files) {
      if (std::filesystem::equivalent(file.source, output, ignored)) {
        return InvalidArgument(output.string() + ": the output is one of the inputs");
      }
    }
  }
  return {};
}

void AddTensors(const SourceFileEntry& file, format::Index* index, uint32_t parts_begin) {
  std::vector<uint32_t> by_name(file.tensors.size());
  for (uint32_t t = 0; t < by_name.size(); ++t) by_name[t] = t;
  std::sort(by_name.begin(), by_name.end(),
            [&](uint32_t a, uint32_t b) { return file.tensors[a].name < file.tensors[b].name; });
  for (const uint32_t t : by_name) {
    const container::Tensor& tensor = file.tensors[t];
    format::TensorEntry entry;
    entry.name = tensor.name;
    entry.part = parts_begin + tensor.part;
    entry.shape_begin = static_cast<uint32_t>(index->dims.size());
    entry.rank = static_cast<uint16_t>(tensor.shape.size());
    entry.dtype = tensor.dtype;
    index->dims.insert(index->dims.end(), tensor.shape.begin(), tensor.shape.end());
    index->tensors.push_back(entry);
  }
}

format::Index MakeIndex(const PackPlan& plan, EncodedObjects encoded) {
  format::Index index;
  index.objects = std::move(encoded.objects);
  index.parents = std::move(encoded.parents);
  index.chunks = std::move(encoded.chunks);
  const auto position = [](const auto& table) { return static_cast<uint32_t>(table.size()); };
  for (size_t v = 0; v < plan.variants.size(); ++v) {
    const SourceVariant& variant = plan.variants[v];
    format::VariantEntry variant_entry{variant.name, {position(index.files), 0}};
    for (size_t f = 0; f < variant.files.size(); ++f) {
      const SourceFileEntry& file = variant.files[f];
      format::FileEntry entry;
      entry.path = file.path;
      entry.size = file.size;
      entry.digest = encoded.digests[v][f];
      entry.container = file.container;
      entry.flags = file.flags;
      entry.parts.begin = position(index.parts);
      for (const SourcePart& part : file.parts) index.parts.push_back(part.object);
      entry.parts.end = position(index.parts);
      entry.tensors.begin = position(index.tensors);
      AddTensors(file, &index, entry.parts.begin);
      entry.tensors.end = position(index.tensors);
      index.files.push_back(entry);
    }
    variant_entry.files.end = position(index.files);
    index.variants.push_back(variant_entry);
  }
  return index;
}

Status CheckSourcesUnchanged(const PackPlan& plan) {
  for (const SourceVariant& variant : plan.variants) {
    for (const SourceFileEntry& file : variant.files) {
      if (file.file != nullptr) QSTORE_TRY(file.file->CheckUnchanged());
    }
  }
  return {};
}

// Reading the index back shows that no limit of readers was broken before the archive appears.
Status AppendIndex(const format::Index& index, io::OutputFile* output) {
  format::Footer footer;
  footer.index_offset = output->size();
  QSTORE_ASSIGN(const std::vector<std::byte> stored, format::EncodeIndex(index, &footer));
  QSTORE_TRY(format::DecodeIndex(stored, footer).status().WithContext("index just made"));
  footer.archive_size = footer.index_offset + stored.size() + format::Footer::kEncodedSize;
  QSTORE_TRY(output->Append(stored));
  std::vector<std::byte> bytes;
  footer.EncodeTo(&bytes);
  return output->Append(bytes);
}

}  // namespace
}  // namespace store

namespace {

Result<PackReport> RunPack(std::span<const VariantSource> variants,
                           const std::filesystem::path& output, const PackOptions& options) {
  QSTORE_ASSIGN(std::vector<store::SourceVariant> sources, store::ListSources(variants));
  QSTORE_TRY(store::CheckOutputIsNoInput(sources, output));
  PackReport report;
  for (const store::SourceVariant& variant : sources) {
    for (const store::SourceFileEntry& file : variant.files) report.source_bytes += file.size;
  }
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
                store::EncodeObjects(plan, options, threads, file.get()));
  QSTORE_TRY(store::CheckSourcesUnchanged(plan));
  QSTORE_TRY(store::AppendIndex(store::MakeIndex(plan, std::move(encoded)), file.get()));
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
