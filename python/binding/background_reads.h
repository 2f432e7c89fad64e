// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "module.h"
#include "qstore/read_queue.h"
#include "source.h"

namespace qstore::python {

/// A ReadQueue of whole tensors, which keeps the memory that it fills. What goes wrong in a read is
/// not told: whoever wants the tensor reads it again.
/// Thread-safety: all functions REQUIRE the GIL, which they release while they wait. In a child
/// process that was forked after the first Begin there is only the destructor to call.
class BackgroundReads {
 public:
  /// REQUIRES: `archive` is a file, and outlives this object. `threads` as in ReadQueue.
  BackgroundReads(const OpenArchive* archive, unsigned threads);
  /// Stops all reads.
  ~BackgroundReads();
  BackgroundReads(const BackgroundReads&) = delete;
  BackgroundReads& operator=(const BackgroundReads&) = delete;

  /// Begins to fill `out`, which has the size of the tensor, a number in its variant. Returns what
  /// Finish takes. Throws nb::index_error when there is no such tensor, and QStoreError.
  uint64_t Begin(size_t variant, size_t tensor, Buffer out);
  /// Reads along until the read has ended, and says whether it has filled its memory. Throws what
  /// Python's handlers of signals raise, after all reads were stopped.
  bool Finish(uint64_t number);
  /// Stops all reads: none runs when it returns, and Finish says that they have not filled
  /// anything.
  void Cancel();

 private:
  const OpenArchive& archive_;
  const pid_t process_;
  std::unique_ptr<ReadQueue> queue_;
  std::map<uint64_t, Buffer> held_;  // What is written to, or has not been asked for.
};

}  // namespace qstore::python
