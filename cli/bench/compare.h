// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "posix_file.h"
#include "qstore/archive.h"

namespace qstore::cli {

/// Compares tensors with those of the .safetensors files they came from.
class Originals {
 public:
  /// `root` is what was packed: a directory or a file.
  explicit Originals(std::filesystem::path root) : root_(std::move(root)) {}

  /// Errors: kMismatch when `content` differs from the bytes at `begin` of the tensor, which the
  /// archive says is in `file`; kNotFound, kIo, kCorrupt.
  Status Compare(const TensorInfo& tensor, std::string_view file, uint64_t begin,
                 std::span<const std::byte> content);

 private:
  // Begin and end of each tensor behind the header, by its name.
  using Offsets = std::map<std::string, std::array<uint64_t, 2>, std::less<>>;
  class HeaderReader;
  struct Source {
    std::unique_ptr<PosixFile> file;
    Offsets offsets;
    uint64_t data_begin = 0;
  };
  Status OpenSource(std::string_view file, Source** source);

  std::filesystem::path root_;
  std::map<std::string, Source, std::less<>> sources_;
};

/// Errors: kMismatch when the file has other bytes at `offset`; kIo.
Status CompareWithFile(const PosixFile& file, uint64_t offset, std::span<const std::byte> content,
                       std::string_view what);

}  // namespace qstore::cli
