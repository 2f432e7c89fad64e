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

/// A variant and where its files are: a model directory or one file. One file of a model that is
/// split, by its name ("m-00001-of-00003.gguf"), stands for all of them.
struct VariantSource {
  std::string name;  ///< 1 to 255 of A-Z a-z 0-9 . _ + - and neither . nor - in front.
  std::filesystem::path path;
  /// Of a directory: those of its files and folders that are the variant, by path relative to it,
  /// '/'-separated. None: all.
  std::vector<std::string> files = {};
};

/// The models in a folder as variants, which together have every file of it. First comes, named as
/// the folder, what is none of the following: safetensors files, configurations, a card. Then, by
/// path:
///  - each model that is one file, or several numbered ones (GGUF), named by its file without
///    ".gguf" and number;
///  - each subfolder with files of models, named as it is. A subfolder with several models of the
///    kind above is listed like the folder itself; one without files of models belongs to what is
///    around it.
/// In names each character that they may not have becomes '_'. A model of one or several files
/// whose name another variant has too is named by its first file in full ("m.gguf").
/// Errors: those of Pack for a directory; kInvalidArgument also where two variants would still have
/// one name.
QSTORE_EXPORT Result<std::vector<VariantSource>> ListVariants(const std::filesystem::path& folder);

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
/// a regular file, such as a device), kNotFound (also of one of several files that make a model),
/// kAlreadyExists, kIo, kSourceChanged (an input changed meanwhile), kLimit, kCancelled.
QSTORE_EXPORT Result<PackReport> Pack(std::span<const VariantSource> variants,
                                      const std::filesystem::path& output,
                                      const PackOptions& options = {});

}  // namespace qstore
