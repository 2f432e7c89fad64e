// SPDX-License-Identifier: Apache-2.0
#include "program_source.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "program.h"
#include "qstore/source.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

constexpr char kSourceProgram[] = "qstore-source";
constexpr int kSockets = kRemoteReadAhead;
constexpr int kFirstSocket = 3;  // In the program, after the standard streams.
constexpr uint64_t kCheck = UINT64_MAX;
constexpr size_t kMostText = 1 << 16;

// In little-endian order: the machines that this runs on have no other.
struct Request {
  uint64_t offset;  // kCheck asks whether the source is unchanged.
  uint64_t size;
};

// False when the program has ended, or a signal came: with errno EINTR then.
bool Receive(int socket, std::span<std::byte> out) {
  while (!out.empty()) {
    if (StopRequested()) {
      errno = EINTR;
      return false;
    }
    pollfd waited{socket, POLLIN, 0};
    const int ready = ::poll(&waited, 1, 100);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    const ssize_t count = ::recv(socket, out.data(), out.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    errno = count < 0 ? errno : 0;
    if (count <= 0) return false;
    out = out.subspan(static_cast<size_t>(count));
  }
  return true;
}

// "CODE\nMESSAGE", as the program tells errors.
Status ToldError(const std::string& text) {
  const size_t end = text.find('\n');
  const std::string message = end == std::string::npos ? text : text.substr(end + 1);
  for (int c = 1; c <= static_cast<int>(ErrorCode::kInternal); ++c) {
    const auto code = static_cast<ErrorCode>(c);
    if (ErrorCodeName(code) == text.substr(0, end)) return {code, message};
  }
  return IoError(message);
}

// Of the program. REQUIRES: nothing but calls that may follow a fork.
[[noreturn]] void Become(const char* program, const char* url, const char* count,
                         const std::array<int, kSockets>& sockets) {
  // Out of the way of the numbers they get.
  std::array<int, kSockets> high{};
  for (size_t i = 0; i < sockets.size(); ++i) {
    high[i] = ::fcntl(sockets[i], F_DUPFD, kFirstSocket + kSockets);
  }
  for (size_t i = 0; i < high.size(); ++i) ::dup2(high[i], kFirstSocket + static_cast<int>(i));
  for (const int fd : high) ::close(fd);
  // What it prints is not the command's result.
  ::dup2(STDERR_FILENO, STDOUT_FILENO);
  ::execl(program, program, url, count, static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

Result<std::shared_ptr<const ProgramSource>> ProgramSource::Open(const std::string& url) {
  std::shared_ptr<ProgramSource> source(new ProgramSource());
  source->name_ = WithoutSecrets(url);
  const auto program = FindProgram(kSourceProgram);
  if (!program) {
    return NotFound(source->name_ + ": " + kSourceProgram +
                    " reads such URLs; it comes with: pip install 'qstore[remote]'");
  }
  if (Status started = source->Start(*program, url); !started.ok()) return started;
  std::string told;
  if (Status opened = source->Ask(0, 0, {}, &told); !opened.ok()) return opened;
  source->size_ = std::strtoull(told.c_str(), nullptr, 10);
  source->identity_ = told;
  return std::shared_ptr<const ProgramSource>(std::move(source));
}

Status ProgramSource::Start(const std::string& program, const std::string& url) {
  std::array<int, kSockets> theirs{};
  for (int& their : theirs) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return IoError(name_ + ": cannot make a socket: " + std::strerror(errno));
    }
    free_.push_back(ends[0]);
    their = ends[1];
  }
  const std::string count = std::to_string(kSockets);
  process_ = ::fork();
  if (process_ == 0) Become(program.c_str(), url.c_str(), count.c_str(), theirs);
  for (const int their : theirs) ::close(their);
  if (process_ < 0) return IoError(name_ + ": cannot start " + program);
  return {};
}

ProgramSource::~ProgramSource() {
  for (const int socket : free_) ::close(socket);
  // It may wait for a server.
  if (process_ > 0) ::kill(process_, SIGTERM);
  while (process_ > 0 && ::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status ProgramSource::Read(uint64_t offset, std::span<std::byte> out) const {
  if (offset > size_ || out.size() > size_ - offset) {
    return InvalidArgument(name_ + ": read beyond the end, at offset " + std::to_string(offset));
  }
  return out.empty() ? Status() : Ask(offset, out.size(), out, nullptr);
}

Status ProgramSource::CheckUnchanged() const {
  std::string nothing;
  return Ask(kCheck, 0, {}, &nothing);
}

Status ProgramSource::Ask(uint64_t offset, uint64_t size, std::span<std::byte> out,
                          std::string* text) const {
  int socket = -1;
  {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [this] { return !free_.empty(); });
    socket = free_.back();
    free_.pop_back();
  }
  const auto broken = [&] {
    const bool is_stopped = errno == EINTR;
    ::shutdown(socket, SHUT_RDWR);  // Later requests by it fail at once.
    const std::lock_guard lock(mutex_);
    free_.push_back(socket);
    freed_.notify_one();
    return is_stopped ? Cancelled() : IoError(name_ + ": " + kSourceProgram + " has ended");
  };
  const Request request{offset, size};
  if (::send(socket, &request, sizeof(request), MSG_NOSIGNAL) != sizeof(request)) return broken();
  int64_t length = 0;  // Of the answer; less than zero of an error.
  if (!Receive(socket, std::as_writable_bytes(std::span(&length, 1)))) return broken();
  std::string told;
  const bool is_text = length < 0 || text != nullptr;
  if (is_text) {
    told.resize(std::min<uint64_t>(kMostText, static_cast<uint64_t>(std::abs(length))));
    out = std::as_writable_bytes(std::span(told));
  }
  if (std::abs(length) != static_cast<int64_t>(out.size()) || !Receive(socket, out)) {
    return broken();
  }
  {
    const std::lock_guard lock(mutex_);
    free_.push_back(socket);
    freed_.notify_one();
  }
  if (length < 0) return ToldError(told);
  if (text != nullptr) *text = std::move(told);
  return {};
}

}  // namespace qstore::cli
