// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "mount/log.h"
#include "qstore/archive.h"
#include "qstore/status.h"
#include "qstore_apps/mount.h"

namespace qstore::mount {

/// Mounts the files of an archive on a directory, named from the root, calls `ready`, and serves
/// them until they are unmounted or a signal comes. Errors: kIo, kLimit.
Status Serve(const Archive& archive, const std::string& directory, const MountOptions& options,
             Log* log, const std::function<void()>& ready);

}  // namespace qstore::mount
