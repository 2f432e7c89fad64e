// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "qstore/archive.h"
#include "qstore/status.h"

namespace qstore::mount {

struct MountOptions {
  /// Aim for the memory of the process. A parent that must be held whole may take more.
  uint64_t memory = uint64_t{256} << 20;
  unsigned threads = 0;       ///< That decode ahead of readers. 0: all processors.
  bool is_slow = false;       ///< The archive is read from a server.
  bool foreground = false;    ///< Serve in this process, and print what goes wrong.
  bool allow_other = false;   ///< Other users may read the files, too.
  std::filesystem::path log;  ///< In the background: where messages go; empty for syslog.
};

/// Whether this build can mount.
bool CanMount();

/// Mounts the files of the archive that `open` gives, DIRECTORY/VARIANT/PATH, and serves them until
/// they are unmounted or the process is told to end. In the background `open` is called by a new
/// process, which serves; the calling one returns once files can be read, or when that failed.
/// REQUIRES: no other thread runs. SIGINT, SIGTERM and SIGHUP, unless ignored, unmount from then
/// on. Errors: kUnsupportedFeature (CanMount is false), kNotFound (no such directory, no FUSE
/// here), kAlreadyExists (the directory is not empty), kInvalidArgument (no directory), kIo (the
/// system does not mount), those of `open` and kLimit.
Status Mount(const std::function<Result<Archive>()>& open, const std::filesystem::path& directory,
             const MountOptions& options);

}  // namespace qstore::mount
