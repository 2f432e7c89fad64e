// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/mount.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <system_error>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "mount/background.h"
#include "mount/session.h"

namespace qstore::mount {
namespace {

namespace fs = std::filesystem;

constexpr char kDevice[] = "/dev/fuse";
constexpr char kHelper[] = "fusermount3";

// The directory, from the root.
Result<std::string> MountPoint(const fs::path& directory) {
  const auto failed = [&](const std::error_code& error) {
    if (error == std::errc::not_connected) {
      return IoError(directory.string() +
                     ": a mount whose process is gone; `umount -l` of it first");
    }
    return IoError(directory.string() + ": " + error.message());
  };
  std::error_code error;
  const fs::file_status status = fs::status(directory, error);
  if (status.type() == fs::file_type::not_found) {
    return NotFound(directory.string() + ": there is no such directory to mount on");
  }
  if (error) return failed(error);
  if (status.type() != fs::file_type::directory) {
    return InvalidArgument(directory.string() + ": is no directory to mount on");
  }
  const bool is_empty = fs::is_empty(directory, error);
  if (error) return failed(error);
  if (!is_empty) {
    return AlreadyExists(directory.string() + ": is not empty; mount on an empty directory");
  }
  const fs::path full = fs::canonical(directory, error);
  if (error) return failed(error);
  return full.string();
}

bool IsInPath(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string folders = path == nullptr ? "/usr/bin:/bin" : path;
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    const fs::path folder = folders.substr(begin, end - begin);
    if (::access((folder / program).c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

Status CheckSystem() {
  if (!CanMount()) {
    return {ErrorCode::kUnsupportedFeature,
            "this qstore was built without libfuse 3, which mounting needs (libfuse3-dev)"};
  }
  if (::access(kDevice, R_OK | W_OK) != 0) {
    const int error = errno;
    const std::string what = std::string(kDevice) + ": " + std::strerror(error);
    if (error != ENOENT) return IoError(what);
    return NotFound(what + "; mounting needs FUSE: load the module 'fuse', or give a container " +
                    "the device (--device /dev/fuse --cap-add SYS_ADMIN)");
  }
  if (::geteuid() != 0 && !IsInPath(kHelper)) {
    return NotFound(std::string(kHelper) +
                    ": not found; who is not root needs it to mount (package fuse3)");
  }
  return {};
}

// Until the session handles them they end the process, which has nothing to clean up.
void TakeSignals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    if (std::signal(signal, SIG_DFL) == SIG_IGN) std::signal(signal, SIG_IGN);
  }
}

Result<Log> LogFor(const MountOptions& options) {
  if (!options.log.empty()) return Log::ToFile(options.log);
  if (options.foreground) return Log::ToStandardError();
  return Log::ToSystem();
}

Status OpenAndServe(const std::function<Result<Archive>()>& open, const std::string& directory,
                    const MountOptions& options, const std::function<void()>& ready) {
  return base::Guarded([&]() -> Status {
    QSTORE_ASSIGN(Log log, LogFor(options));
    QSTORE_ASSIGN(const Archive archive, open());
    return Serve(archive, directory, options, &log, ready);
  });
}

}  // namespace

Status Mount(const std::function<Result<Archive>()>& open, const fs::path& directory,
             const MountOptions& options) {
  TakeSignals();
  QSTORE_TRY(CheckSystem());
  QSTORE_ASSIGN(const std::string full, MountPoint(directory));
  if (options.foreground) return OpenAndServe(open, full, options, [] {});
  QSTORE_ASSIGN(Background background, Background::Start());
  if (!background.is_new()) return background.Wait();
  bool is_ready = false;
  Status status = OpenAndServe(open, full, options, [&] {
    is_ready = true;
    background.Ready();
  });
  if (!is_ready) background.Fail(status);
  return status;
}

}  // namespace qstore::mount
