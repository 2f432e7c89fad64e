// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "module.h"
#include "source.h"

namespace qstore::python {

/// Reads of whole tensors that go on while Python does something else, on threads of their own: two
/// at a time, so that no processor idles while the last chunks of one are decoded. What goes wrong
/// in one is not told: whoever wants the tensor reads it again.
/// Thread-safety: all functions REQUIRE the GIL, which they release while they wait. In a child
/// process that was forked after the first Begin there is only the destructor to call.
class BackgroundReads {
 public:
  /// REQUIRES: `archive` is a file, and outlives this object. `threads` as in Archive::Read.
  BackgroundReads(const OpenArchive* archive, unsigned threads);
  /// Stops all reads.
  ~BackgroundReads();
  BackgroundReads(const BackgroundReads&) = delete;
  BackgroundReads& operator=(const BackgroundReads&) = delete;

  /// Begins to fill `out`, which has the size of the tensor, a number in its variant. Returns what
  /// Finish takes. Throws nb::index_error when there is no such tensor.
  uint64_t Begin(size_t variant, size_t tensor, Buffer out);
  /// Waits until the read has ended, and says whether it has filled its memory. Throws what
  /// Python's handlers of signals raise, after all reads were stopped.
  bool Finish(uint64_t number);
  /// Stops all reads: none runs when it returns, and Finish says that they have not filled
  /// anything.
  void Cancel();

 private:
  class Worker;

  const OpenArchive& archive_;
  const pid_t process_;
  std::unique_ptr<Worker> worker_;
  std::map<uint64_t, Buffer> held_;  // What is written to, or has not been asked for.
  uint64_t next_ = 0;
};

}  // namespace qstore::python
