// SPDX-License-Identifier: Apache-2.0
// In place of session.cc where there is no libfuse.
#include "mount/session.h"

namespace qstore::mount {

bool CanMount() { return false; }

Status Serve(const Archive&, const std::string&, const MountOptions&, Log*,
             const std::function<void()>&) {
  return InternalError("this build cannot mount");
}

}  // namespace qstore::mount
