// SPDX-License-Identifier: Apache-2.0
#pragma once

#define FUSE_USE_VERSION 31
#include <fuse_lowlevel.h>
#include <sys/types.h>

#include <ctime>

#include "mount/file_tree.h"
#include "mount/log.h"
#include "qstore/archive.h"
#include "qstore_apps/file_cache.h"

namespace qstore::mount {

/// What is served: the user data of the session. Thread-safe.
struct Served {
  const Archive& archive;
  const FileTree& tree;
  FileCache& cache;
  Log& log;
  uid_t user = 0;  ///< Of all files.
  gid_t group = 0;
  timespec time{};  ///< Of all files.
};

/// What answers the system's requests.
const fuse_lowlevel_ops& Operations();

}  // namespace qstore::mount
