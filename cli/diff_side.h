// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qstore/archive.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::cli {

/// Bytes that can be read from any offset on.
struct DiffBytes {
  uint64_t size = 0;
  std::function<Status(uint64_t begin, std::span<std::byte> out)> read;
};

struct DiffFile {
  DiffBytes bytes;
  /// Where it is known without reading.
  std::optional<std::array<uint8_t, 16>> digest;
};

struct DiffTensor {
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
  std::string file;
  /// Finds its bytes, which for an archive reads the head of the file.
  std::function<Result<DiffBytes>()> open;
};

/// The files and tensors of one model, by path and name.
struct DiffModel {
  std::map<std::string, DiffFile> files;
  std::map<std::string, DiffTensor> tensors;
};

/// One of two things to compare: an archive, a variant of one, a directory or a file.
class DiffSide {
 public:
  /// `text` is a path, a URL, or either with ":VARIANT" behind. Errors: those of OpenArchive;
  /// kNotFound.
  static Result<DiffSide> Open(const std::string& text, const OpenOptions& options);
  ~DiffSide();
  DiffSide(DiffSide&&) noexcept;

  bool is_archive() const { return parts_ != nullptr; }
  /// Whether it names one variant, or is no archive.
  bool is_one() const { return !is_archive() || variant_.has_value(); }
  const std::string& text() const { return text_; }
  /// Of the archive. REQUIRES: is_archive().
  std::vector<std::string> variants() const;
  /// The model, which lives as long as this object. With a name, that variant of the archive.
  /// Without, that which the text names, or the only one. Errors: kInvalidArgument (there are
  /// several, and none is named), those of reading.
  Result<DiffModel> Model(const std::string& variant = "") const;

 private:
  struct Parts;
  DiffSide();
  Result<DiffModel> ModelOfArchive(const std::string& variant) const;
  Result<DiffModel> ModelOfFiles() const;

  std::string text_;
  std::string path_;
  std::optional<std::string> variant_;
  std::unique_ptr<Parts> parts_;  // Of an archive.
};

}  // namespace qstore::cli
