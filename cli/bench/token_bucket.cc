// SPDX-License-Identifier: Apache-2.0
#include "token_bucket.h"

#include <algorithm>
#include <thread>

namespace qstore::cli {

void TokenBucket::Restart() {
  const std::lock_guard lock(mutex_);
  free_at_ = Clock::now();
}

void TokenBucket::Take(uint64_t bytes) {
  if (rate_ <= 0) return;
  const auto span_of = [this](double amount) {
    return std::chrono::duration_cast<Clock::duration>(
        std::chrono::duration<double>(amount / rate_));
  };
  Clock::time_point arrival;
  {
    const std::lock_guard lock(mutex_);
    free_at_ = std::max(free_at_, Clock::now() - span_of(kBurst));
    free_at_ += span_of(static_cast<double>(bytes));
    arrival = free_at_;
  }
  std::this_thread::sleep_until(arrival);
}

}  // namespace qstore::cli
