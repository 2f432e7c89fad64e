// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>

namespace qstore::cli {

/// A drive of limited bandwidth: readers wait until their bytes would have arrived, one after the
/// other. While nobody reads, it gets ahead by at most kBurst, about what a system reads ahead.
/// Thread-safe.
class TokenBucket {
 public:
  static constexpr double kBurst = 256 << 10;

  /// 0: no limit.
  explicit TokenBucket(double bytes_per_second) : rate_(bytes_per_second) {}

  /// Forgets what went before: begins empty, now.
  void Restart();
  void Take(uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;
  const double rate_;
  std::mutex mutex_;
  Clock::time_point free_at_ = Clock::now();
};

}  // namespace qstore::cli
