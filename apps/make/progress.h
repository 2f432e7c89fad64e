// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <utility>

#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore::make {

/// Counts the bytes of an operation that are done and asks its caller whether to go on.
/// Thread-safety: one call at a time.
class ProgressCounter {
 public:
  ProgressCounter(ProgressCallback callback, uint64_t total_bytes)
      : callback_(std::move(callback)), progress_{0, total_bytes} {}

  /// Errors: kCancelled.
  Status Add(uint64_t bytes) {
    progress_.done_bytes += bytes;
    if (!callback_ || callback_(progress_)) return {};
    return Cancelled();
  }

 private:
  ProgressCallback callback_;
  Progress progress_;
};

}  // namespace qstore::make
