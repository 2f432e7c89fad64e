// SPDX-License-Identifier: Apache-2.0
#include "mount/log.h"

#include <fcntl.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace qstore::mount {
namespace {

constexpr std::chrono::seconds kAgainAfter{10};
constexpr size_t kMostTold = 16;

// Names in an archive are anybody's.
std::string WithoutControls(const std::string& text) {
  std::string line = text;
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return line;
}

}  // namespace

Log Log::ToSystem() {
  ::openlog("qstore", LOG_PID, LOG_DAEMON);
  return Log(kSystem);
}

Result<Log> Log::ToFile(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor < 0) return IoError(path.string() + ": cannot open: " + std::strerror(errno));
  return Log(descriptor);
}

Log::Log(Log&& other) noexcept : descriptor_(std::exchange(other.descriptor_, kStandardError)) {}

Log::~Log() {
  if (descriptor_ > kStandardError) ::close(descriptor_);
}

bool Log::IsNew(const std::string& line) {
  const auto now = std::chrono::steady_clock::now();
  std::erase_if(told_, [&](const Told& told) { return now - told.when > kAgainAfter; });
  if (std::ranges::any_of(told_, [&](const Told& told) { return told.line == line; })) return false;
  if (told_.size() == kMostTold) told_.erase(told_.begin());
  told_.push_back({line, now});
  return true;
}

void Log::Write(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (!IsNew(line)) return;
  if (descriptor_ == kSystem) {
    ::syslog(LOG_ERR, "%s", WithoutControls(line).c_str());
    return;
  }
  // In one call, so that lines of several processes do not mix. Nobody hears of one that is lost.
  const std::string text = "qstore: " + WithoutControls(line) + "\n";
  if (::write(descriptor_, text.data(), text.size()) < 0) return;
}

}  // namespace qstore::mount
