// SPDX-License-Identifier: Apache-2.0
#include "io/placement.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/posix_error.h"

namespace qstore::io {

namespace fs = std::filesystem;

Status CheckTarget(int at, const std::string& name, const fs::path& shown, bool overwrite) {
  struct stat status;
  if (::fstatat(at, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return {};
  // A link is replaced itself; yet who names one means what it leads to.
  const bool is_link = S_ISLNK(status.st_mode);
  const bool to_nothing = is_link && ::fstatat(at, name.c_str(), &status, 0) != 0;
  if (!to_nothing && S_ISDIR(status.st_mode)) {
    return InvalidArgument(shown.string() + ": is a directory");
  }
  if (!to_nothing && !S_ISREG(status.st_mode)) {
    return InvalidArgument(shown.string() + ": is not a regular file");
  }
  if (!overwrite) return AlreadyExists(shown.string() + ": exists already");
  return {};
}

Status Placement::RenameError(int error) const {
  if (error == EEXIST) return AlreadyExists(shown_.string() + ": appeared meanwhile");
  return SystemError(shown_, "cannot rename the finished file to this name", error);
}

// Between a name that changes and the state that tells of it nothing needs memory.
Status Placement::Place(const std::string& staged, const Directory& at, const std::string& name,
                        bool overwrite) {
  const int from = staging_->directory().fd();
  if (RenameNoReplace(from, staged.c_str(), at.fd(), name.c_str()) == 0) {
    state_ = State::kPlaced;
    return {};
  }
  if (errno != EEXIST || !overwrite) return RenameError(errno);
  // An exchange takes the name even from a directory.
  QSTORE_TRY(CheckTarget(at.fd(), name, shown_, true));
  old_ = staged;
  if (ExchangeNames(from, staged.c_str(), at.fd(), name.c_str())) {
    state_ = State::kReplaced;
    return {};
  }
  old_ = staging_->NewName();
  const bool linked = ::linkat(at.fd(), name.c_str(), from, old_.c_str(), 0) == 0;
  if (::renameat(from, staged.c_str(), at.fd(), name.c_str()) != 0) return RenameError(errno);
  if (linked) state_ = State::kReplaced;
  return {};
}

Status Placement::SetAside(const Directory& at, const std::string& name) {
  old_ = staging_->NewName();
  if (::renameat(at.fd(), name.c_str(), staging_->directory().fd(), old_.c_str()) == 0) {
    state_ = State::kRemoved;
  } else if (errno != ENOENT) {
    return SystemError(shown_, "cannot remove", errno);
  }
  return {};
}

bool Placement::Undo(int at, const char* name) {
  const int aside = staging_->directory().fd();
  if (state_ == State::kPlaced) ::unlinkat(at, name, 0);
  if (state_ == State::kReplaced || state_ == State::kRemoved) {
    if (at < 0) return false;
    const int failed = state_ == State::kReplaced ? ::renameat(aside, old_.c_str(), at, name)
                                                  : RenameNoReplace(aside, old_.c_str(), at, name);
    if (failed != 0) return false;
  }
  state_ = State::kNothing;
  return true;
}

Status Placement::TakeBack(int at, const std::string& name, Status error) {
  if (Undo(at, name.c_str())) return error;
  const int failed = errno;
  staging_->Abandon();
  return base::Guarded([&] {
    const std::string lies = (staging_->directory().path() / old_).string();
    const Status lost = SystemError(shown_, "cannot be brought back from " + lies, failed);
    return error.WithContext(lost.message());
  });
}

}  // namespace qstore::io
