// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>

namespace qstore {

/// How far a long operation has come, in bytes of the models' files.
struct Progress {
  uint64_t done_bytes = 0;
  uint64_t total_bytes = 0;
};

/// Called from one thread at a time, at least once in a few MiB of work. Returning false stops the
/// operation with kCancelled; what it had written is removed.
using ProgressCallback = std::function<bool(const Progress&)>;

}  // namespace qstore
