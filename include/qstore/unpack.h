// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "qstore/archive.h"
#include "qstore/export.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore {

struct UnpackOptions {
  unsigned threads = 0;  ///< 0: all processors this process may run on.
  /// Most bytes that the files written may have, all together.
  uint64_t max_bytes = UINT64_MAX;
  /// Allow a directory that is not empty: its files of the same names are replaced, others stay.
  bool overwrite = false;
  bool sync = true;  ///< Wait until the files have reached the disk.
  /// When not empty, only the tensors whose names match this pattern (`*`, `?`, `[...]` as in
  /// fnmatch; `*` matches every character) are written, to one new file model.safetensors. Those of
  /// block types are U8 there, their last dimension the bytes of a row of blocks.
  std::string tensors;
  /// When not empty, only the file of this path is written. Not together with `tensors`.
  std::string file;
  ProgressCallback progress;
};

struct UnpackReport {
  uint64_t files = 0;
  uint64_t bytes = 0;  ///< Of these files.
};

/// Writes every file of a variant below `directory`, equal byte for byte to what was packed: the
/// digest of each is compared before it appears. A `directory` that does not exist appears complete
/// in one step; in one that exists, the files get their names once all of them are written and
/// synced. On an error nothing is left, and what had been replaced is back. What remains in a
/// directory that existed: a process or machine that ends among the last renames leaves a part of
/// the files under their names and the others, old ones too, in a directory .qstore-*.tmp; and
/// where the file system can neither exchange two names nor link a file twice, an error among them
/// leaves files replaced. Symbolic links may lead to `directory`; none beneath it is followed.
/// Errors: kNotFound (variant, file, no tensor matches), kAlreadyExists (`directory` is not empty),
/// kInvalidArgument (a file or a symbolic link stands where a folder must be, or something else
/// than a file where a file must be; two matching tensors of one name; `file` with `tensors`),
/// kLimit (`max_bytes`, OpenOptions::max_memory; before anything is written), kCorrupt, kIo,
/// kCancelled.
QSTORE_EXPORT Result<UnpackReport> Unpack(const Archive& archive, std::string_view variant,
                                          const std::filesystem::path& directory,
                                          const UnpackOptions& options = {});

}  // namespace qstore
