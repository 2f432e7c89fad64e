// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "qstore/archive.h"
#include "qstore/status.h"
#include "store/chunk_batch.h"
#include "store/object_cache.h"
#include "store/read_ahead.h"
#include "store/read_plan.h"
#include "store/whole_buffers.h"

namespace qstore::store {

/// What a read fills, and the files whose tables must first be known to be right.
struct ReadTargets {
  std::vector<ReadTarget> targets;
  std::vector<uint32_t> unchecked;  ///< Ascending. See HeaderCheck.
};

/// Where the bytes asked for lie and go. Errors: kInvalidArgument (sizes, rows).
Result<ReadTargets> TargetsOf(const Archive& archive, std::span<const ReadRequest> requests);

/// A read that threads of the caller's carry out unit by unit: the plan and what its units share,
/// and among them a unit for every file to be checked. What is read counts when all have succeeded.
/// Thread-safe.
class RunningRead {
 public:
  /// At most `threads` threads will run units. `archive` outlives the read. Errors: kLimit, where
  /// the memory that OpenOptions::max_memory allows is too small for one.
  static Result<std::unique_ptr<RunningRead>> Make(const ArchiveFile& archive, ReadTargets wanted,
                                                   unsigned threads);
  RunningRead(const RunningRead&) = delete;
  RunningRead& operator=(const RunningRead&) = delete;

  /// Most threads that may run units at once.
  unsigned threads() const { return plan_->threads(); }
  /// Memory that it takes at most: for each of them, and for what they share.
  uint64_t thread_bytes() const { return plan_->thread_bytes(); }
  uint64_t shared_bytes() const { return plan_->together_bytes() + plan_->cache_bytes(); }
  size_t unit_count() const { return unchecked_.size() + plan_->unit_count(); }
  uint64_t byte_size() const { return byte_size_; }
  /// How many of them are there once this many units are done: units take about the same time each,
  /// which is what progress is to tell.
  uint64_t BytesOf(size_t units_done) const;

  /// As ReadPlan::RunUnit. Errors: those of ChunkBatch::Run and HeaderCheck.
  Status RunUnit(size_t unit, std::unique_ptr<ChunkBatch>* batch);

 private:
  RunningRead(const ArchiveFile& archive, uint64_t byte_size, std::vector<uint32_t> unchecked,
              std::unique_ptr<ReadPlan> plan);
  std::optional<size_t> CheckAt(size_t unit) const;
  size_t ChecksBefore(size_t unit) const;

  const ArchiveFile& archive_;
  const uint64_t byte_size_;
  const std::vector<uint32_t> unchecked_;
  const std::unique_ptr<const ReadPlan> plan_;
  const std::unique_ptr<ReadAhead> ahead_;  // Null when nothing is to be read ahead.
  WholeBuffers wholes_;
  ObjectCache cache_;
};

}  // namespace qstore::store
