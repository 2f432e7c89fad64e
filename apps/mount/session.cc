// SPDX-License-Identifier: Apache-2.0
#include "mount/session.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <mutex>

#include "base/status_macros.h"
#include "mount/operations.h"

namespace qstore::mount {
namespace {

// What the process takes beside its caches.
constexpr uint64_t kOwnBytes = uint64_t{32} << 20;

std::mutex told_mutex;
std::string told;  // By libfuse.

void Collect(fuse_log_level /*level*/, const char* format, va_list arguments) {
  std::array<char, 512> line{};
  std::vsnprintf(line.data(), line.size(), format, arguments);
  const std::lock_guard lock(told_mutex);
  if (told.size() < line.size()) told += line.data();
}

// `what`, with what libfuse has said about it.
Status Failed(const std::string& what) {
  const std::lock_guard lock(told_mutex);
  while (!told.empty() && told.back() == '\n') told.pop_back();
  return IoError(told.empty() ? what : what + ": " + told);
}

/// Arguments of a session.
class Arguments {
 public:
  Arguments() { fuse_opt_add_arg(&arguments_, "qstore"); }
  ~Arguments() { fuse_opt_free_args(&arguments_); }
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  void AddOption(const std::string& option) {
    fuse_opt_add_arg(&arguments_, "-o");
    fuse_opt_add_arg(&arguments_, option.c_str());
  }
  fuse_args* get() { return &arguments_; }

 private:
  fuse_args arguments_ = FUSE_ARGS_INIT(0, nullptr);
};

// A comma or a backslash of a name is no separator.
std::string Escaped(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == ',' || c == '\\') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

/// A session, unmounted and ended with this object.
class Session {
 public:
  Session() = default;
  ~Session() {
    if (is_mounted_) fuse_session_unmount(session_);
    if (has_handlers_) fuse_remove_signal_handlers(session_);
    if (session_ != nullptr) fuse_session_destroy(session_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Status Mount(const std::string& source, const std::string& directory, const MountOptions& options,
               Served* served) {
    Arguments arguments;
    arguments.AddOption("ro,noatime,default_permissions,subtype=qstore");
    arguments.AddOption("fsname=" + Escaped(source));
    if (options.allow_other) arguments.AddOption("allow_other");
    session_ = fuse_session_new(arguments.get(), &Operations(), sizeof(Operations()), served);
    if (session_ == nullptr) return Failed("cannot begin a session of FUSE");
    has_handlers_ = fuse_set_signal_handlers(session_) == 0;
    if (!has_handlers_) return Failed("cannot handle signals");
    is_mounted_ = fuse_session_mount(session_, directory.c_str()) == 0;
    return is_mounted_ ? Status() : Failed(directory + ": cannot mount");
  }

  // A thread that reads from a descriptor of its own does not wait for others.
  Status Run() {
    const int ended = fuse_session_loop_mt(session_, 1);
    if (ended >= 0) return {};  // Unmounted, or by a signal.
    return Failed(std::string("serving ended: ") + std::strerror(-ended));
  }

 private:
  fuse_session* session_ = nullptr;
  bool has_handlers_ = false;
  bool is_mounted_ = false;
};

// When the archive was written; of one that is no file here, now.
timespec TimeOf(const Archive& archive) {
  struct stat stat {};
  if (::stat(archive.path().c_str(), &stat) == 0) return stat.st_mtim;
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now;
}

}  // namespace

bool CanMount() { return true; }

Status Serve(const Archive& archive, const std::string& directory, const MountOptions& options,
             Log* log, const std::function<void()>& ready) {
  fuse_set_log_func(Collect);
  const FileTree tree(archive);
  if (tree.left_out() > 0) {
    log->Write(std::to_string(tree.left_out()) + " files with names of more than " +
               std::to_string(FileTree::kMostNameBytes) + " bytes are left out");
  }
  FileCacheOptions cache_options;
  cache_options.memory = options.memory - std::min(options.memory / 4, kOwnBytes);
  cache_options.threads = options.threads;
  cache_options.is_slow = options.is_slow;
  QSTORE_ASSIGN(const auto cache, FileCache::Make(archive, cache_options));
  Served served{archive, tree, *cache, *log, ::getuid(), ::getgid(), TimeOf(archive)};
  Session session;
  QSTORE_TRY(session.Mount(archive.path().string(), directory, options, &served));
  ready();
  return session.Run();
}

}  // namespace qstore::mount
