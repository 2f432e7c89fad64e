// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "qstore/status.h"

namespace qstore::mount {

/// Where a process that serves files tells what goes wrong, a line for each. The same line comes
/// once in ten seconds, however often it is the case: a program that finds a file unreadable tries
/// again. Thread-safe.
class Log {
 public:
  /// To standard error.
  static Log ToStandardError() { return Log(kStandardError); }
  /// To the system's log.
  static Log ToSystem();
  /// Appends to a file. Errors: kIo.
  static Result<Log> ToFile(const std::filesystem::path& path);
  ~Log();
  Log(Log&& other) noexcept;
  Log& operator=(Log&&) = delete;

  void Write(const std::string& line);

 private:
  static constexpr int kStandardError = 2;
  static constexpr int kSystem = -1;
  struct Told {
    std::string line;
    std::chrono::steady_clock::time_point when;
  };

  explicit Log(int descriptor) : descriptor_(descriptor) {}
  bool IsNew(const std::string& line);

  int descriptor_;
  std::mutex mutex_;
  std::vector<Told> told_;  // The last few.
};

}  // namespace qstore::mount
