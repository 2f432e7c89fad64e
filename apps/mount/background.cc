// SPDX-License-Identifier: Apache-2.0
#include "mount/background.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

namespace qstore::mount {

Result<Background> Background::Start() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return IoError(std::string("cannot make a pipe: ") + std::strerror(errno));
  }
  const pid_t child = ::fork();
  if (child < 0) {
    const int error = errno;
    ::close(ends[0]);
    ::close(ends[1]);
    return IoError(std::string("cannot start a process: ") + std::strerror(error));
  }
  const bool is_new = child == 0;
  ::close(ends[is_new ? 0 : 1]);
  return Background(is_new, ends[is_new ? 1 : 0]);
}

Background::Background(Background&& other) noexcept
    : is_new_(other.is_new_), pipe_(std::exchange(other.pipe_, -1)) {}

Background::~Background() {
  if (pipe_ >= 0) ::close(pipe_);
}

Status Background::Wait() const {
  std::string sent;
  std::array<char, 512> part{};
  while (true) {
    const ssize_t size = ::read(pipe_, part.data(), part.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    sent.append(part.data(), static_cast<size_t>(size));
  }
  if (sent.empty()) return IoError("the process of the background ended before it was ready");
  return {static_cast<ErrorCode>(sent[0]), sent.substr(1)};
}

void Background::Send(const Status& status) {
  std::string text = static_cast<char>(status.code()) + status.message();
  while (!text.empty()) {
    const ssize_t size = ::write(pipe_, text.data(), text.size());
    if (size < 0 && errno != EINTR) break;
    if (size > 0) text.erase(0, static_cast<size_t>(size));
  }
  ::close(std::exchange(pipe_, -1));
}

void Background::Ready() {
  ::setsid();
  const int none = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (::chdir("/") == 0 && none >= 0) {
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(none, fd);
  }
  if (none > STDERR_FILENO) ::close(none);
  Send(Status());
}

void Background::Fail(const Status& error) {
  Send(error);
  ::_exit(1);
}

}  // namespace qstore::mount
