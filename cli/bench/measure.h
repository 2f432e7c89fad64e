// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cli/json_writer.h"
#include "qstore/status.h"
#include "token_bucket.h"

namespace qstore::cli {

/// What all benchmarks take.
struct MeasureOptions {
  unsigned runs = 5;
  unsigned threads = 0;
  bool json = false;
  bool cold = false;         ///< Drop the files' pages before each run.
  double bandwidth_mib = 0;  ///< Of reading; 0: no limit.
  bool huge_pages = false;   ///< Ask for them where bytes are loaded to.
  bool no_backing = false;   ///< Do not touch and free memory before each run.
};

void AddRunOptions(CLI::App* command, MeasureOptions* options);
/// Those that only loads have.
void AddReadOptions(CLI::App* command, MeasureOptions* options);

/// Memory from the system for one run: nothing has touched it yet.
class FreshMemory {
 public:
  FreshMemory() = default;
  ~FreshMemory();
  FreshMemory(const FreshMemory&) = delete;
  FreshMemory& operator=(const FreshMemory&) = delete;
  /// REQUIRES: called once.
  Status Allocate(uint64_t size, bool huge_pages);
  std::span<std::byte> bytes() const { return {data_, size_}; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

/// The clock of one run, started when it is made.
class RunClock {
 public:
  RunClock();
  /// Ends the stage that began with the previous call.
  void EndStage(const char* name);
  /// Ends the run.
  void Stop();

 private:
  friend class Measurement;
  using Clock = std::chrono::steady_clock;
  struct Usage {
    double user = 0;
    double system = 0;
    uint64_t page_faults = 0;
  };
  static Usage UsageNow();

  Usage usage_;
  Clock::time_point start_;
  Clock::time_point stage_;
  double seconds_ = 0;
  std::vector<std::pair<const char*, double>> stages_;
};

/// Repeats an operation and sums up what it took.
class Measurement {
 public:
  explicit Measurement(const MeasureOptions& options);

  /// Taken from by whatever reads.
  TokenBucket& bucket() { return bucket_; }

  /// One run: calls Stop on the clock when all that counts is done. What it does before returning
  /// and after that is not timed.
  using Once = std::function<Status(RunClock* clock)>;
  /// `files` are what the operation reads: put in the page cache before each run, or dropped. Each
  /// run finds as much memory as they may need free and backed by the host, see
  /// docs/performance.md.
  Status Repeat(std::span<const std::filesystem::path> files, const Once& once);

  /// Adds median_s, min_s, max_s, runs, stages, processor times, threads, isa, and how it was
  /// measured.
  void AddTo(JsonWriter* document) const;
  /// Prints a line about `what` was measured, which has so many bytes raw and stored.
  void Print(const std::string& what, uint64_t bytes, uint64_t stored_bytes) const;

 private:
  // Of what the runs took.
  std::vector<double> Seconds() const;
  Status Prepare(std::span<const std::filesystem::path> files);

  MeasureOptions options_;
  TokenBucket bucket_;
  std::vector<RunClock> runs_;
  double resident_share_ = 0;  // The largest before a run.
};

/// The threads that `requested` means: 0 is one for each processor of this process.
unsigned ThreadsOf(unsigned requested);

}  // namespace qstore::cli
