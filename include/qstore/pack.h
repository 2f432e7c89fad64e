// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/export.h"
#include "qstore/level.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore {

/// A variant and where its files are: a model directory or one file.
struct VariantSource {
  std::string name;  ///< 1 to 255 of A-Z a-z 0-9 . _ + - and neither . nor - in front.
  std::filesystem::path path;
};

/// kInvalidArgument, naming the rule broken, when no variant may have that name.
QSTORE_EXPORT Status CheckVariantName(std::string_view name);

/// Says that tensors of `child` may have parents of `parent` only. Both name variants.
struct ParentChoice {
  std::string child;
  std::string parent;
};

struct PackOptions {
  Level level = Level::kBalanced;
  /// Where a variant's tensors find the ones that they follow from. Without a choice each tensor
  /// has the parents, of any other variant, with which all of them take few bytes and loads read
  /// little more for it.
  std::vector<ParentChoice> parents;
  /// Names of variants that must load from their own bytes: their tensors have no parents of other
  /// variants.
  std::vector<std::string> direct;
  unsigned threads = 0;  ///< 0: all processors this process may run on.
  /// Aim for the memory in use, in bytes; bounds the chunks in flight, hence the threads at work.
  /// At least one chunk (about 16 MiB) is always held, and the tables of names and chunks.
  uint64_t memory_limit = uint64_t{512} << 20;
  /// Store the SHA-256 of each file too, for whoever checks signatures or lists of the originals.
  /// One thread computes it, beside those that code.
  bool sha256 = false;
  bool overwrite = false;  ///< Otherwise kAlreadyExists when the output exists.
  bool sync = true;        ///< Wait until the archive has reached the disk.
  ProgressCallback progress;
};

struct PackReport {
  uint64_t source_bytes = 0;  ///< Of all files of all variants.
  uint64_t stored_bytes = 0;  ///< Of the archive.
};

/// Stores the variants in one archive at `output`, which appears only when it is complete and is
/// the same, byte for byte, for every number of threads. Every file is restorable exactly; what
/// cannot be understood is stored as it is. Symbolic links are followed. On an error what stood at
/// `output` before stands there still. Errors, each naming the file: kInvalidArgument (variant
/// names, the same path given twice, parents that make a circle or name no variant, a directory
/// without files, a path that cannot be stored, the output among the inputs or something else than
/// a regular file, such as a device), kNotFound, kAlreadyExists, kIo, kSourceChanged (an input
/// changed meanwhile), kLimit, kCancelled.
QSTORE_EXPORT Result<PackReport> Pack(std::span<const VariantSource> variants,
                                      const std::filesystem::path& output,
                                      const PackOptions& options = {});

}  // namespace qstore
