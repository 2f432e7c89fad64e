// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <string_view>

#include "fuzz/fuzz.h"

namespace qstore::fuzz {

/// A folder, in memory where the system has such files, that lives as long as the object.
class ScratchTree {
 public:
  ScratchTree() {
    const std::filesystem::path memory = "/dev/shm";
    const auto base =
        ::access(memory.c_str(), W_OK) == 0 ? memory : std::filesystem::temp_directory_path();
    std::string pattern = (base / "qstore-fuzz-XXXXXX").string();
    FUZZ_CHECK(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
  }
  ~ScratchTree() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  ScratchTree(const ScratchTree&) = delete;
  ScratchTree& operator=(const ScratchTree&) = delete;
  std::filesystem::path operator/(std::string_view name) const { return root_ / name; }

  void Clear() const {
    for (const auto& entry : std::filesystem::directory_iterator(root_)) {
      std::filesystem::remove_all(entry.path());
    }
  }
  void Write(std::string_view name, std::string_view content) const {
    std::filesystem::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name, std::ios::binary) << content;
  }
  /// Contents of the regular files by path below the folder; whatever else is no folder fails.
  std::map<std::string, std::string> Files() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
      if (entry.is_directory() && !entry.is_symlink()) continue;
      FUZZ_CHECK(entry.is_regular_file() && !entry.is_symlink());
      std::ifstream in(entry.path(), std::ios::binary);
      files[entry.path().lexically_relative(root_).generic_string()] = {
          std::istreambuf_iterator<char>(in), {}};
    }
    return files;
  }

 private:
  std::filesystem::path root_;
};

}  // namespace qstore::fuzz
