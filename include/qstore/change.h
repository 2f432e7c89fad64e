// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "qstore/export.h"
#include "qstore/level.h"
#include "qstore/pack.h"
#include "qstore/progress.h"
#include "qstore/status.h"

// Changes of an archive that is there. Add and Drop append to the file and then let its header say
// that a new generation of the archive begins to count: at any moment it is the old archive or the
// new one, whatever becomes of the process or the machine. Who has the archive open goes on reading
// the generation that he opened.
//
// One writer changes an archive at a time, by a lock of the file (flock). The next one waits for
// two seconds and then fails with kIo; so does one on a file system without locks. On an error the
// archive is what it was before.

namespace qstore {

struct AddOptions {
  Level level = Level::kBalanced;
  /// As PackOptions has them. The child is a variant that is added; the parent may be any.
  std::vector<ParentChoice> parents;
  std::vector<std::string> direct;
  unsigned threads = 0;  ///< 0: all processors this process may run on.
  /// As PackOptions has it.
  uint64_t memory_limit = uint64_t{512} << 20;
  bool sync = true;  ///< Wait until each step has reached the disk.
  ProgressCallback progress;
};

struct AddReport {
  uint64_t source_bytes = 0;  ///< Of all files of the variants that were added.
  uint64_t added_bytes = 0;   ///< Payloads stored for them.
  uint64_t read_bytes = 0;    ///< Of the archive: index, heads of files, and parents.
  uint64_t stored_bytes = 0;  ///< Of the archive.
};

/// Adds variants to an archive. What it has stays as it is, and content that it has already is not
/// stored again. Tensors may follow from those of any variant, of which that is read and nothing
/// else. Each file's SHA-256 is stored where the archive has those of its files.
/// Errors, each naming the file: kAlreadyExists (the archive has a variant of the name),
/// kInvalidArgument (as of Pack; the archive is one of the inputs), kNotFound, kIo (also where the
/// archive may not be written), kCorrupt and others of Archive::Open (the archive is damaged, where
/// that is read), kSourceChanged, kLimit, kCancelled.
QSTORE_EXPORT Result<AddReport> Add(const std::filesystem::path& archive,
                                    std::span<const VariantSource> variants,
                                    const AddOptions& options = {});

struct DropOptions {
  bool sync = true;  ///< Wait until each step has reached the disk.
};

struct DropReport {
  uint64_t stored_bytes = 0;  ///< Of the archive.
  uint64_t dead_bytes = 0;    ///< Of these, what Compact would take away.
};

/// Drops variants from an archive. Of their content stays what others need; the rest is dead, but
/// takes its space until Compact. Errors: kNotFound (a name), kInvalidArgument (no name, or no
/// variant would be left), kIo, those of Archive::Open, kLimit.
QSTORE_EXPORT Result<DropReport> Drop(const std::filesystem::path& archive,
                                      std::span<const std::string> variants,
                                      const DropOptions& options = {});

struct CompactOptions {
  /// Where the archive is to be written. Empty: in its own place.
  std::filesystem::path output;
  bool overwrite = false;  ///< Otherwise kAlreadyExists when the output exists.
  bool sync = true;        ///< Wait until the archive has reached the disk.
  /// In bytes of the new archive.
  ProgressCallback progress;
};

struct CompactReport {
  uint64_t before_bytes = 0;  ///< Of the archive as it was.
  uint64_t stored_bytes = 0;  ///< As it is now.
};

/// Writes an archive anew without what is dead, as if it had been written at once: payloads are
/// copied as they are, checked, in the order of variants. It appears when it is complete. In its
/// own place it is another file by then, with the permissions of the old one, which is read to the
/// end by those who have it open; an archive without dead bytes stays as it is. Needs room for
/// both. Errors: kInvalidArgument (the output is the archive), kAlreadyExists, kIo, kCorrupt
/// (naming tensor, chunk and offset) and others of Archive::Open, kLimit, kCancelled.
QSTORE_EXPORT Result<CompactReport> Compact(const std::filesystem::path& archive,
                                            const CompactOptions& options = {});

}  // namespace qstore
