// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>

#include "qstore/archive.h"
#include "qstore/export.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore {

/// Reads that go on while their caller does something else: for callers that want one tensor after
/// the other, and begin to read the next ones before they need them. In one call of Archive::Read
/// for each tensor, threads wait for the last of them; here they go on with the next read, and so
/// does who waits.
/// Thread-safety: all member functions but the destructor may be called from many threads at once.
class QSTORE_EXPORT ReadQueue {
 public:
  /// `threads` as in Archive::Read: one is the caller's, while it is in Finish; the others come
  /// with Begin, and leave when nothing is left to read. `archive` outlives the queue.
  explicit ReadQueue(const Archive& archive, unsigned threads = 0);
  /// Cancels.
  ~ReadQueue();
  ReadQueue(const ReadQueue&) = delete;
  ReadQueue& operator=(const ReadQueue&) = delete;

  /// Begins to fill a request, behind those begun before. Its buffer must stay until Finish of it,
  /// or Cancel, has returned. Returns what Finish takes.
  /// Errors: kInvalidArgument (sizes, rows), kLimit.
  Result<uint64_t> Begin(const ReadRequest& request);

  /// Reads along until the request is filled or has failed, once for each. `progress` is called by
  /// this thread, between units of work, with bytes of that request; when it says not to go on, the
  /// read is dropped.
  /// Errors: those of Archive::Read; kCancelled also after Cancel, and for an unknown number.
  Status Finish(uint64_t number, const ProgressCallback& progress = {});

  /// Drops all reads begun before: none of them is running when it returns.
  void Cancel();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qstore
