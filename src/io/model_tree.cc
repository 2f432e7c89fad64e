// SPDX-License-Identifier: Apache-2.0
#include "io/model_tree.h"

#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/status_macros.h"
#include "io/file.h"
#include "io/posix_error.h"
#include "io/safetensors.h"
#include "io/safetensors_index.h"

namespace qstore::io {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxIndexBytes = uint64_t{256} << 20;

struct DirectoryId {
  dev_t device;
  ino_t inode;
  bool operator==(const DirectoryId&) const = default;
};

class Walker {
 public:
  // `prefix` is the path of `directory` within the model, with a '/' behind it unless empty.
  Status Walk(const fs::path& directory, const std::string& prefix) {
    struct stat status;
    if (::stat(directory.c_str(), &status) != 0) {
      return SystemError(directory, "cannot stat", errno);
    }
    const DirectoryId id{status.st_dev, status.st_ino};
    if (std::find(open_.begin(), open_.end(), id) != open_.end()) {
      return InvalidArgument(directory.string() + ": links form a cycle");
    }
    open_.push_back(id);
    QSTORE_ASSIGN(const std::vector<std::string> names, ListDirectory(directory));
    if (names.empty() && !prefix.empty()) {
      files_.push_back({prefix.substr(0, prefix.size() - 1), directory, true, false});
    }
    for (const std::string& name : names) QSTORE_TRY(Visit(directory / name, prefix + name));
    open_.pop_back();
    return {};
  }

  // A file, or all of a directory, that has the path `path` within the model.
  Status Visit(const fs::path& source, const std::string& path) {
    struct stat status;
    if (::stat(source.c_str(), &status) != 0) {
      if (errno == ELOOP) return InvalidArgument(source.string() + ": links form a cycle");
      if (errno == ENOENT) return NotFound(source.string() + ": is not there, or links to nothing");
      return SystemError(source, "cannot stat", errno);
    }
    if (S_ISDIR(status.st_mode)) return Walk(source, path + "/");
    QSTORE_TRY(CheckReadable(source));
    files_.push_back({path, source, false, (status.st_mode & S_IXUSR) != 0});
    return {};
  }

  std::vector<ModelFile> TakeFiles() {
    std::sort(files_.begin(), files_.end(),
              [](const ModelFile& a, const ModelFile& b) { return a.path < b.path; });
    return std::move(files_);
  }

 private:
  static Status CheckReadable(const fs::path& source) { return SourceFile::Open(source).status(); }

  std::vector<DirectoryId> open_;  // The directories on the way to the current one.
  std::vector<ModelFile> files_;
};

// REQUIRES: `files` sorted by path.
Status CheckShards(const std::vector<ModelFile>& files, const ModelFile& index_file) {
  const size_t slash = index_file.path.rfind('/');
  const size_t directory_length = slash == std::string::npos ? 0 : slash + 1;
  if (!IsSafetensorsIndexName(std::string_view(index_file.path).substr(directory_length))) {
    return {};
  }
  auto text = ReadSmallFile(index_file.source, kMaxIndexBytes);
  if (!text.ok()) return text.status().code() == ErrorCode::kLimit ? Status() : text.status();
  auto index = ParseSafetensorsIndex(*text);
  if (!index.ok()) return {};
  const std::string directory = index_file.path.substr(0, directory_length);
  for (const auto& [tensor, shard] : index->weight_map) {
    const std::string wanted = fs::path(directory + shard).lexically_normal().generic_string();
    const auto found =
        std::lower_bound(files.begin(), files.end(), wanted,
                         [](const ModelFile& file, const std::string& p) { return file.path < p; });
    if (found == files.end() || found->path != wanted) {
      return NotFound(index_file.source.string() + ": names shard " + QuotedName(shard) +
                      " for tensor " + QuotedName(tensor) + ", but there is no such file");
    }
  }
  return {};
}

// REQUIRES: `files` sorted by path.
Status CheckAllShards(const std::vector<ModelFile>& files) {
  for (const ModelFile& file : files) {
    if (!file.is_directory) QSTORE_TRY(CheckShards(files, file));
  }
  return {};
}

}  // namespace

Result<std::vector<ModelFile>> ListModelFiles(const fs::path& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return SystemError(path, "cannot stat", errno);
  if (!S_ISDIR(status.st_mode)) {
    QSTORE_TRY(SourceFile::Open(path).status());
    const bool is_executable = (status.st_mode & S_IXUSR) != 0;
    return std::vector<ModelFile>{{path.filename().string(), path, false, is_executable}};
  }
  Walker walker;
  QSTORE_TRY(walker.Walk(path, ""));
  std::vector<ModelFile> files = walker.TakeFiles();
  const bool has_file = std::any_of(files.begin(), files.end(),
                                    [](const ModelFile& file) { return !file.is_directory; });
  if (!has_file) return InvalidArgument(path.string() + ": holds no file");
  QSTORE_TRY(CheckAllShards(files));
  return files;
}

Result<std::vector<ModelFile>> ListModelFiles(const fs::path& directory,
                                              std::span<const std::string> paths) {
  Walker walker;
  for (const std::string& path : paths) QSTORE_TRY(walker.Visit(directory / path, path));
  std::vector<ModelFile> files = walker.TakeFiles();
  const auto twice =
      std::adjacent_find(files.begin(), files.end(),
                         [](const ModelFile& a, const ModelFile& b) { return a.path == b.path; });
  if (twice != files.end()) return InvalidArgument(twice->source.string() + ": is given twice");
  QSTORE_TRY(CheckAllShards(files));
  return files;
}

}  // namespace qstore::io
