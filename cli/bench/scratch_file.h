// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>
#include <system_error>

namespace qstore::cli {

/// A name for a file of this process, removed at the end.
class ScratchFile {
 public:
  /// In the system's directory for temporary files when `directory` is empty.
  explicit ScratchFile(const std::filesystem::path& directory)
      : path_((directory.empty() ? std::filesystem::temp_directory_path() : directory) /
              ("qstore-bench-" + std::to_string(::getpid()))) {}
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace qstore::cli
