// SPDX-License-Identifier: Apache-2.0
#include "open_archive.h"

#include <array>
#include <cstring>
#include <fstream>
#include <string_view>
#include <utility>

#include "program_source.h"
#include "qstore/source.h"
#include "terminal.h"

namespace qstore::cli {

namespace {

// What a file is by its first bytes, where they are those of a model that is not packed.
std::string KindOfModel(const std::string& path) {
  std::array<char, 9> head{};
  std::ifstream file(path, std::ios::binary);
  if (!file.read(head.data(), head.size())) return "";
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, head.data(), sizeof(header_bytes));
  constexpr uint64_t kMostHeader = 100'000'000;  // The limit of safetensors.
  if (std::string_view(head.data(), 4) == "GGUF") return ".gguf";
  return head[8] == '{' && header_bytes >= 2 && header_bytes <= kMostHeader ? ".safetensors" : "";
}

// Says of a model that it is none, where a reader of archives finds it corrupt.
Status Explain(const std::string& location, Status status) {
  if (status.code() != ErrorCode::kCorrupt || IsUrl(location)) return status;
  const std::string kind = KindOfModel(location);
  if (kind.empty()) return status;
  return InvalidArgument(location + ": not a .qstore archive but a " + kind +
                         " file; `qstore pack` makes an archive of it");
}

}  // namespace

std::vector<std::string> NamesOfVariants(const Archive& archive) {
  std::vector<std::string> names;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    names.emplace_back(archive.variant(v).name);
  }
  return names;
}

Result<Archive> OpenArchive(const std::string& location, const OpenOptions& options) {
  const std::string scheme = location.substr(0, location.find(':'));
  const bool is_built_in = scheme == "http" || scheme == "https" || scheme == "file";
  if (IsUrl(location) && !is_built_in) {
    auto source = ProgramSource::Open(location);
    if (!source.ok()) return source.status();
    return qstore::OpenArchive({std::move(*source), WithoutSecrets(location), true}, options);
  }
  HttpOptions http;
  http.go_on = [] { return !StopRequested(); };
  auto archive = qstore::OpenArchive(location, options, http);
  if (!archive.ok()) return Explain(location, archive.status());
  return archive;
}

}  // namespace qstore::cli
