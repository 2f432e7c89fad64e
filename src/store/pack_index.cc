// SPDX-License-Identifier: Apache-2.0
#include "store/pack_index.h"

#include <algorithm>
#include <utility>

#include "base/status_macros.h"

namespace qstore::store {
namespace {

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

void CopyVariants(const format::Index& from, format::Index* to) {
  to->variants = from.variants;
  to->files = from.files;
  to->parts = from.parts;
  to->tensors = from.tensors;
  to->dims = from.dims;
  to->sha256 = from.sha256;
}

}  // namespace

format::Index MakeIndex(const PackPlan& plan, EncodedObjects encoded) {
  format::Index index;
  if (plan.stored != nullptr) CopyVariants(*plan.stored, &index);
  index.objects = std::move(encoded.objects);
  index.parents = std::move(encoded.parents);
  index.chunks = std::move(encoded.chunks);
  const auto position = [](const auto& table) { return static_cast<uint32_t>(table.size()); };
  for (size_t v = plan.stored_variants(); v < plan.variants.size(); ++v) {
    const SourceVariant& variant = plan.variants[v];
    format::VariantEntry variant_entry{variant.name, {position(index.files), 0}};
    for (size_t f = 0; f < variant.files.size(); ++f) {
      const SourceFileEntry& file = variant.files[f];
      format::FileEntry entry;
      entry.path = file.path;
      entry.size = file.size;
      entry.digest = encoded.digests[v][f].xxh3;
      entry.container = file.container;
      entry.flags = file.flags;
      if (encoded.has_sha256) {
        const bool has_content = !entry.Has(FileFlag::kDirectory);
        index.sha256.push_back(has_content ? encoded.digests[v][f].sha256 : base::Sha256Digest());
      }
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

// Reading the index back shows that no limit of readers was broken before the archive appears.
Result<std::vector<std::byte>> EncodeEnd(const format::Index& index, uint64_t offset,
                                         format::Gaps gaps) {
  format::Footer footer;
  footer.index_offset = offset;
  QSTORE_ASSIGN(std::vector<std::byte> end, format::EncodeIndex(index, &footer));
  QSTORE_TRY(
      format::DecodeIndex(end, footer, UINT64_MAX, gaps).status().WithContext("index just made"));
  footer.archive_size = offset + end.size() + format::Footer::kEncodedSize;
  footer.EncodeTo(&end);
  return end;
}

}  // namespace qstore::store
