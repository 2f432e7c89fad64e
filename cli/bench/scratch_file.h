// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace qstore::cli {

/// A name for a file, in a new directory that only this user can enter, so that nobody else has or
/// takes the name. Both are removed at the end.
class ScratchFile {
 public:
  /// In the system's directory for temporary files when `directory` is empty. Where no directory
  /// can be made, opening the file fails.
  explicit ScratchFile(const std::filesystem::path& directory) {
    const auto base = directory.empty() ? std::filesystem::temp_directory_path() : directory;
    std::string made = (base / "qstore-bench-XXXXXX").string();
    if (::mkdtemp(made.data()) != nullptr) directory_ = made;
    path_ = std::filesystem::path(made) / "file";
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
    if (!directory_.empty()) std::filesystem::remove(directory_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path directory_;
  std::filesystem::path path_;
};

}  // namespace qstore::cli
