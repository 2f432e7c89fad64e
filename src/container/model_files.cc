// SPDX-License-Identifier: Apache-2.0
#include "container/model_files.h"

#include <algorithm>
#include <system_error>

#include "base/status_macros.h"
#include "container/registry.h"
#include "io/safetensors.h"

namespace qstore::container {
namespace {

namespace fs = std::filesystem;

Status Missing(const std::string& file, const ModelPart& part, const std::string& missing) {
  return NotFound(file + ": is file " + std::to_string(part.number) + " of " +
                  std::to_string(part.count) + " of a model by its name, but there is no file " +
                  io::QuotedName(missing) + " beside it");
}

// Of which model of several files that is one; a count of 0 for other files.
ModelPart NumberedPart(const Container* container, std::string_view path) {
  if (container == nullptr) return {};
  return container->PartOfModel(path).value_or(ModelPart());
}

// REQUIRES: `files` sorted by path.
Status CheckParts(const std::vector<io::ModelFile>& files) {
  const auto has = [&](const std::string& path) {
    const auto found = std::lower_bound(
        files.begin(), files.end(), path,
        [](const io::ModelFile& file, const std::string& p) { return file.path < p; });
    return found != files.end() && found->path == path;
  };
  for (const io::ModelFile& file : files) {
    const Container* container = file.is_directory ? nullptr : FindClaimant(file.path);
    const ModelPart part = NumberedPart(container, file.path);
    if (part.count == 0) continue;
    // The first file looks for all, the others for the first.
    const uint32_t last = part.number == 1 ? part.count : 1;
    for (uint32_t number = 1; number <= last; ++number) {
      const std::string path = container->PathOfPart(part, number);
      if (!has(path)) return Missing(file.source.string(), part, path);
    }
  }
  return {};
}

Result<std::vector<std::string>> PathsOfModel(const fs::path& path, const Container& container,
                                              const ModelPart& part) {
  std::vector<std::string> paths;
  for (uint32_t number = 1; number <= part.count; ++number) {
    paths.push_back(container.PathOfPart(part, number));
    std::error_code ignored;
    // A link to nothing is told of by what opens it.
    const auto status = fs::symlink_status(path.parent_path() / paths.back(), ignored);
    if (status.type() == fs::file_type::not_found) {
      return Missing(path.string(), part, paths.back());
    }
  }
  return paths;
}

}  // namespace

Result<std::vector<io::ModelFile>> ListModelFiles(const fs::path& path,
                                                  std::span<const std::string> paths) {
  if (paths.empty()) {
    const std::string name = path.filename().string();
    const Container* container = FindClaimant(name);
    const ModelPart part = NumberedPart(container, name);
    std::error_code ignored;
    if (part.count > 0 && !fs::is_directory(path, ignored) && fs::exists(path, ignored)) {
      QSTORE_ASSIGN(const auto all, PathsOfModel(path, *container, part));
      return io::ListModelFiles(path.parent_path(), all);
    }
  }
  QSTORE_ASSIGN(auto files,
                paths.empty() ? io::ListModelFiles(path) : io::ListModelFiles(path, paths));
  QSTORE_TRY(CheckParts(files));
  return files;
}

}  // namespace qstore::container
