// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "qstore/status.h"

namespace qstore::base {

struct PipelineOptions {
  unsigned threads = 1;  ///< The caller's thread included; 0 counts as 1.
  size_t tokens = 1;     ///< Most items between the start of work and the end of retire; 0 is 1.
};

struct PipelineItem {
  uint64_t index = 0;
  unsigned worker = 0;  ///< Below threads; no two running calls of work share it.
  size_t slot = 0;      ///< Below tokens; belongs to this item until its retire returns.
};

using PipelineStep = std::function<Status(const PipelineItem&)>;
/// Whether there is such an item. May prepare what belongs to its slot.
using PipelineBegin = std::function<Result<bool>(const PipelineItem&)>;

/// Calls work once for each item 0 … count-1, many at a time and begun in order, and retire for
/// each item whose work is done, one at a time and in order. retire runs on any of the threads and
/// may run beside work on later items. Memory is bounded by `tokens` times what an item holds.
/// The error of the lowest item wins, whatever the timing: every earlier item is still retired, no
/// later one is. A step stops the run by returning an error. `retire` may be empty.
/// Exceptions of steps become errors: std::bad_alloc kLimit, others kInternal.
Status RunPipeline(uint64_t count, const PipelineOptions& options, const PipelineStep& work,
                   const PipelineStep& retire);

/// The same for items whose number nobody knows: `begin` is asked for one after the other, by one
/// thread at a time and always quickly, until it says that there is no further one.
Status RunPipeline(const PipelineBegin& begin, const PipelineOptions& options,
                   const PipelineStep& work, const PipelineStep& retire);

/// The error that stands for the exception being handled: std::bad_alloc is kLimit, others are
/// kInternal. REQUIRES: called in a handler.
Status CurrentExceptionAsStatus() noexcept;

/// What `call` returns, a Status or Result. Exceptions become errors, as above: what every function
/// of the library goes through that users or threads of its own call.
template <class Call>
auto Guarded(const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (...) {
    return CurrentExceptionAsStatus();
  }
}

/// `requested`, or for 0 the number of processors this process may run on.
unsigned ThreadCount(unsigned requested);

}  // namespace qstore::base
