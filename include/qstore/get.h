// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "qstore/archive.h"
#include "qstore/export.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore {

struct GetOptions {
  /// The directory of the cache. Empty: DefaultCache().
  std::filesystem::path cache;
  /// Most bytes that the cache may hold. 0: half of the disk that it is on.
  uint64_t cache_size = 0;
  /// When not empty, only the file of this path is made.
  std::string file;
  unsigned threads = 0;  ///< 0: all processors this process may run on.
  ProgressCallback progress;
};

struct GetReport {
  /// The file, when it is one or the variant has no other; else the directory of the variant.
  std::filesystem::path path;
  uint64_t bytes = 0;      ///< Of all files there.
  bool was_there = false;  ///< From an earlier call.
  /// While this lives, no other process removes what is at `path` to make room.
  std::shared_ptr<const void> in_use;
};

/// $QSTORE_CACHE, else $XDG_CACHE_HOME/qstore, else ~/.cache/qstore. Empty when none is known.
QSTORE_EXPORT std::filesystem::path DefaultCache();

/// Makes the files of a variant once in a cache, as Unpack does, and says where they are. What is
/// there counts for the same archive (its path and Archive::identity), variant and file, as long as
/// all files have their sizes. To make room, what was asked for longest ago is removed, but nothing
/// that another process makes or uses (GetReport::in_use). Of several processes that ask for the
/// same, one makes it and the others wait. An error leaves nothing new. Errors: kNotFound (variant,
/// file), kInvalidArgument (no cache is known), kLimit (larger than the cache may be), kIo (no
/// space left on the disk, too), and those of Unpack.
QSTORE_EXPORT Result<GetReport> Get(const Archive& archive, std::string_view variant,
                                    const GetOptions& options = {});

}  // namespace qstore
