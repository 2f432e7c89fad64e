// SPDX-License-Identifier: Apache-2.0
#include "archive_document.h"

#include <vector>

namespace qstore::cli {
namespace {

void WriteFile(const FileInfo& file, JsonWriter* out) {
  out->BeginObject();
  out->Add("path", file.path);
  out->Add("bytes", file.size);
  out->Add("container", file.container);
  out->Add("directory", file.is_directory);
  out->Add("executable", file.is_executable);
  out->Add("digest", Hex(std::as_bytes(std::span(file.digest))));
  if (file.sha256) {
    out->Add("sha256", Hex(std::as_bytes(std::span(*file.sha256))));
  } else {
    out->Add("sha256", nullptr);
  }
  out->End();
}

// As an element of an array when `name` is empty.
void WriteReference(const Archive& archive, std::string_view name, size_t tensor, JsonWriter* out) {
  out->BeginObject(name);
  out->Add("variant", VariantOf(archive, tensor));
  out->Add("tensor", archive.tensor(tensor).name);
  out->End();
}

void WriteTensor(const Archive& archive, const TensorInfo& tensor, const TensorCoding& coding,
                 JsonWriter* out) {
  out->BeginObject();
  out->Add("name", tensor.name);
  out->Add("file", archive.file(tensor.file).path);
  out->Add("dtype", DTypeName(tensor.dtype));
  out->Add("shape", std::vector<uint64_t>(tensor.shape.begin(), tensor.shape.end()));
  out->Add("bytes", tensor.byte_size);
  out->Add("stored_bytes", coding.stored_bytes);
  out->Add("bits_per_weight", BitsPerWeight(coding.stored_bytes, WeightsOf(tensor)));
  out->Add("scheme", coding.scheme);
  out->Add("params", Hex(coding.params));
  out->Add("codecs", coding.codecs);
  out->BeginArray("parents");
  for (const size_t parent : coding.parents) WriteReference(archive, {}, parent, out);
  out->End();
  if (coding.same_as) {
    WriteReference(archive, "same_as", *coding.same_as, out);
  } else {
    out->Add("same_as", nullptr);
  }
  out->End();
}

}  // namespace

Result<JsonWriter> ArchiveDocument(const Archive& archive, const ArchiveSummary& summary,
                                   const DocumentParts& parts, const ReadLimits& limits) {
  uint64_t memory = 0;
  JsonWriter out;
  out.BeginObject();
  out.Add("archive", archive.path().string());
  out.Add("format_version", archive.format_version());
  out.Add("source_bytes", summary.source_bytes);
  out.Add("stored_bytes", archive.stored_bytes());
  out.Add("dead_bytes", archive.dead_bytes());
  out.Add("bits_per_weight", summary.bits_per_weight);
  out.BeginArray("variants");
  for (size_t v = 0; v < summary.variants.size(); ++v) {
    const VariantSummary& variant = summary.variants[v];
    out.BeginObject();
    out.Add("name", variant.info.name);
    out.Add("files", variant.info.file_count);
    out.Add("tensors", variant.info.tensor_count);
    out.Add("weights", variant.weights);
    out.Add("source_bytes", variant.info.source_bytes);
    out.Add("own_bytes", variant.sizes.own_bytes);
    out.Add("load_bytes", variant.sizes.load_bytes);
    out.Add("bits_per_weight", BitsPerWeight(variant.sizes.tensor_stored, variant.weights));
    if (parts.files) {
      out.BeginArray("file_list");
      const Status listed = ForFiles(archive, v, limits, &memory,
                                     [&](const FileInfo& file) { WriteFile(file, &out); });
      if (!listed.ok()) return listed;
      out.End();
    }
    if (parts.tensors) {
      out.BeginArray("tensor_list");
      const Status listed =
          ForTensors(archive, v, limits, &memory, [&](const auto& tensor, const auto& coding) {
            WriteTensor(archive, tensor, coding, &out);
          });
      if (!listed.ok()) return listed;
      out.End();
    }
    out.End();
  }
  out.End();
  out.End();
  return out;
}

}  // namespace qstore::cli
