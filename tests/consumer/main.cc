// SPDX-License-Identifier: Apache-2.0
// Packs a model of one tensor into the working directory and loads the tensor again.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "qstore/qstore.h"

namespace {

const std::string kContent = "eightlow";

void WriteModel(const std::string& path) {
  const std::string header = R"({"w":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})";
  std::ofstream file(path, std::ios::binary);
  for (unsigned shift = 0; shift < 64; shift += 8) {
    file.put(static_cast<char>(uint64_t{header.size()} >> shift));
  }
  file << header << kContent;
}

qstore::Result<std::string> PackAndLoad() {
  WriteModel("model.safetensors");
  const std::vector<qstore::VariantSource> variants = {{"only", "model.safetensors"}};
  qstore::PackOptions options;
  options.overwrite = true;
  const auto report = qstore::Pack(variants, "model.qstore", options);
  if (!report.ok()) return report.status();

  const auto archive = qstore::Archive::Open("model.qstore");
  if (!archive.ok()) return archive.status();
  const auto variant = archive->FindVariant("only");
  if (!variant.ok()) return variant.status();
  const auto tensor = archive->FindTensor(*variant, "w");
  if (!tensor.ok()) return tensor.status();
  std::string content(archive->tensor(*tensor).byte_size, '\0');
  const auto bytes = std::as_writable_bytes(std::span(content.data(), content.size()));
  if (auto status = archive->ReadTensor(*tensor, bytes); !status.ok()) return status;
  return content;
}

}  // namespace

int main() {
  const auto content = PackAndLoad();
  if (!content.ok()) {
    std::fprintf(stderr, "error: %s\n", content.status().ToString().c_str());
    return 1;
  }
  if (*content != kContent) return 1;
  if (qstore::Archive::Open("gone.qstore").status().code() != qstore::ErrorCode::kNotFound) {
    return 1;
  }
  std::puts("consumer: packed and loaded");
  return 0;
}
