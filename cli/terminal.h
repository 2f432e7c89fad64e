// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json_writer.h"
#include "qstore/pack.h"
#include "qstore/progress.h"

namespace qstore::cli {

/// Gives standard streams that are closed a descriptor that fails as they would, so that no file
/// takes their numbers and gets what is printed. Call it first.
void KeepStandardStreams();
/// Lets the first SIGINT, SIGTERM or SIGHUP stop long operations in good order, and the second end
/// the process; lets writes beyond a size limit fail as a full disk does.
void HandleSignals();
/// Whether that first signal has come.
bool StopRequested();
/// What the process ends with: `exit_code`, or a failure, told on standard error, when something
/// printed did not reach standard output. A command that failed after a signal ends by that signal
/// here, so that the shell which started it stops too.
int Finish(int exit_code);

/// `text` with control characters replaced: names in an archive are anybody's.
std::string Printable(std::string_view text);

/// "12.3 MiB".
std::string HumanBytes(uint64_t bytes);

/// Whether what is printed to this descriptor may have colours: it is a terminal that knows them,
/// and the environment has no NO_COLOR.
bool HasColors(int descriptor);
/// In bold type, or as it is.
std::string Bold(const std::string& text, bool in_color);

/// Prints a JSON document on standard output.
void PrintJson(const JsonWriter& document);

/// A bar on standard error that shows how far an operation is, how fast, and, after some seconds,
/// how long it will still take, when that is a terminal. The callback also stops the operation once
/// a signal has come.
class ProgressLine {
 public:
  explicit ProgressLine(std::string what);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  /// For an operation that ends before this object does.
  ProgressCallback callback();
  /// Takes the line away, for something else to be printed in its place.
  void Clear();
  double seconds() const;

 private:
  bool Show(const Progress& progress);
  /// ", 812 MB/s", or nothing in the first moment.
  std::string Rate(const Progress& progress) const;
  /// ", 1:23 left", or nothing while that cannot be told.
  std::string TimeLeft(const Progress& progress) const;
  std::string what_;
  bool is_terminal_;
  bool is_shown_ = false;
  std::chrono::steady_clock::time_point start_;
  std::chrono::steady_clock::time_point last_;
};

/// Splits NAME=PATH arguments. Throws CLI::ValidationError.
std::vector<VariantSource> ParseVariants(const std::vector<std::string>& arguments);

}  // namespace qstore::cli
