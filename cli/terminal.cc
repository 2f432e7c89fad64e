// SPDX-License-Identifier: Apache-2.0
#include "terminal.h"

#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <utility>

#include "commands.h"

namespace qstore::cli {
namespace {

std::atomic<int> stop_signal{0};  // The first that came.
static_assert(std::atomic<int>::is_always_lock_free);

void OnSignal(int signal) {
  int none = 0;
  stop_signal.compare_exchange_strong(none, signal);
  std::signal(signal, SIG_DFL);
}

constexpr size_t kBarWidth = 20;

std::string Bar(uint64_t percent) {
  const size_t filled = std::min<size_t>(kBarWidth, percent * kBarWidth / 100);
  const std::string bar = std::string(filled, '#') + std::string(kBarWidth - filled, '.');
  return HasColors(STDERR_FILENO) ? "\033[32m[" + bar + "]\033[0m" : "[" + bar + "]";
}

bool OutputIsWritten() {
  std::cout.flush();
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return true;
  std::cerr << "qstore: standard output: cannot write";
  if (errno != 0) std::cerr << ": " << std::strerror(errno);
  std::cerr << " (io)\n";
  return false;
}

}  // namespace

void KeepStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is taken. Reading from one and writing to the others fails.
    static_cast<void>(::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY));
  }
}

void HandleSignals() {
  std::signal(SIGINT, OnSignal);
  std::signal(SIGTERM, OnSignal);
  // Under nohup it stays ignored.
  if (std::signal(SIGHUP, OnSignal) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

bool StopRequested() { return stop_signal != 0; }

int Finish(int exit_code) {
  if (!OutputIsWritten() && exit_code == kExitDone) exit_code = kExitFailed;
  if (exit_code != kExitDone && StopRequested()) {
    const int signal = stop_signal;
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  return exit_code;
}

std::string Printable(std::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return printable;
}

std::string HumanBytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB", "PiB"};
  if (bytes < 1024) return std::to_string(bytes) + " B";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f %s", value, kUnits[unit]);
  return text.data();
}

bool HasColors(int descriptor) {
  const char* const none = std::getenv("NO_COLOR");
  const char* const kind = std::getenv("TERM");
  const bool is_wanted = none == nullptr || *none == '\0';
  const bool can = kind != nullptr && std::strcmp(kind, "dumb") != 0;
  return is_wanted && can && ::isatty(descriptor) == 1;
}

std::string Bold(const std::string& text, bool in_color) {
  return in_color ? "\033[1m" + text + "\033[0m" : text;
}

void PrintJson(const JsonWriter& document) { std::cout << document.text() << '\n'; }

ProgressLine::ProgressLine(std::string what)
    : what_(std::move(what)),
      is_terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()),
      last_(start_) {}

ProgressLine::~ProgressLine() { Clear(); }

std::string ProgressLine::Rate(const Progress& progress) const {
  const double passed = seconds();
  if (passed < 0.5 || progress.done_bytes == 0) return "";
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), ", %.0f MB/s",
                static_cast<double>(progress.done_bytes) / passed / 1e6);
  return text.data();
}

std::string ProgressLine::TimeLeft(const Progress& progress) const {
  const double passed = seconds();
  if (passed < 3 || progress.done_bytes == 0 || progress.done_bytes >= progress.total_bytes) {
    return "";
  }
  const double share =
      static_cast<double>(progress.done_bytes) / static_cast<double>(progress.total_bytes);
  const auto left = static_cast<uint64_t>(passed / share - passed);
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), ", %llu:%02llu left",
                static_cast<unsigned long long>(left / 60),
                static_cast<unsigned long long>(left % 60));
  return text.data();
}

void ProgressLine::Clear() {
  if (is_shown_) std::cerr << "\r\033[K" << std::flush;
  is_shown_ = false;
}

ProgressCallback ProgressLine::callback() {
  return [this](const Progress& progress) { return Show(progress); };
}

double ProgressLine::seconds() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool ProgressLine::Show(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  if (is_terminal_ && now - last_ > std::chrono::milliseconds(100)) {
    last_ = now;
    is_shown_ = true;
    const uint64_t percent =
        progress.total_bytes == 0 ? 100 : progress.done_bytes * 100 / progress.total_bytes;
    std::cerr << "\r\033[K" << what_ << ' ' << Bar(percent) << ' ' << percent << " % of "
              << HumanBytes(progress.total_bytes) << Rate(progress) << TimeLeft(progress)
              << std::flush;
  }
  return !StopRequested();
}

std::vector<VariantSource> ParseVariants(const std::vector<std::string>& arguments) {
  std::vector<VariantSource> variants;
  for (const std::string& argument : arguments) {
    const size_t equals = argument.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == argument.size()) {
      throw CLI::ValidationError("'" + argument + "' is not of the form NAME=PATH");
    }
    variants.push_back({argument.substr(0, equals), argument.substr(equals + 1)});
  }
  return variants;
}

}  // namespace qstore::cli
