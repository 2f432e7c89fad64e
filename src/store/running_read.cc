// SPDX-License-Identifier: Apache-2.0
#include "store/running_read.h"

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

#include "base/status_macros.h"
#include "store/archive_file.h"

namespace qstore::store {
namespace {

uint64_t SizeOf(const std::vector<ReadTarget>& targets) {
  uint64_t size = 0;
  for (const ReadTarget& target : targets) size += target.out.size();
  return size;
}

std::unique_ptr<ReadAhead> ReadAheadOf(const ArchiveFile& archive, const ReadPlan& plan) {
  if (archive.options().read_ahead == 0) return nullptr;
  return std::make_unique<ReadAhead>(archive, [&plan, unit = size_t{0}, wholes = AheadSet()](
                                                  std::vector<Extent>* extents) mutable {
    if (unit == plan.unit_count()) return false;
    plan.AddExtents(unit++, &wholes, extents);
    return true;
  });
}

}  // namespace

Result<ReadTargets> TargetsOf(const Archive& archive, std::span<const ReadRequest> requests) {
  const format::Index& tables = archive.impl().index();
  ReadTargets wanted;
  wanted.targets.reserve(requests.size());
  for (const ReadRequest& request : requests) {
    QSTORE_ASSIGN(const uint64_t size,
                  archive.RowsByteSize(request.tensor, request.row_begin, request.row_end));
    const format::TensorEntry& tensor = tables.tensors[request.tensor];
    if (request.out.size() != size) {
      return InvalidArgument("tensor '" + std::string(tensor.name) + "': a buffer of " +
                             std::to_string(request.out.size()) + " bytes was given for " +
                             std::to_string(size));
    }
    const auto file = static_cast<uint32_t>(archive.tensor(request.tensor).file);
    const bool is_noted = !wanted.unchecked.empty() && wanted.unchecked.back() == file;
    if (!is_noted && !archive.impl().headers().IsChecked(file)) wanted.unchecked.push_back(file);
    if (size == 0) continue;
    const uint32_t object = tables.parts[tensor.part];
    const uint64_t row_bytes =
        request.row_begin == 0 ? 0 : tables.objects[object].byte_size / tables.shape(tensor)[0];
    wanted.targets.push_back({object, request.row_begin * row_bytes, request.out});
  }
  std::sort(wanted.unchecked.begin(), wanted.unchecked.end());
  const auto repeated = std::unique(wanted.unchecked.begin(), wanted.unchecked.end());
  wanted.unchecked.erase(repeated, wanted.unchecked.end());
  return wanted;
}

Result<std::unique_ptr<RunningRead>> RunningRead::Make(const ArchiveFile& archive,
                                                       ReadTargets wanted, unsigned threads) {
  const uint64_t left = archive.MemoryLeft();
  const uint64_t byte_size = SizeOf(wanted.targets);
  QSTORE_ASSIGN(auto plan, ReadPlan::Make(archive, std::move(wanted.targets), threads,
                                          left - std::min(left, archive.ReadAheadMemory())));
  return std::unique_ptr<RunningRead>(
      new RunningRead(archive, byte_size, std::move(wanted.unchecked), std::move(plan)));
}

RunningRead::RunningRead(const ArchiveFile& archive, uint64_t byte_size,
                         std::vector<uint32_t> unchecked, std::unique_ptr<ReadPlan> plan)
    : archive_(archive),
      byte_size_(byte_size),
      unchecked_(std::move(unchecked)),
      plan_(std::move(plan)),
      ahead_(ReadAheadOf(archive, *plan_)),
      wholes_(plan_->wholes(), plan_->together_bytes()),
      cache_({[this](ContentId id) { return WholeShape(archive_, id); },
              [this](ContentId id, size_t block, std::span<std::byte> content) {
                return DecodeBlock(archive_, ahead_.get(), id, block, &cache_, content);
              },
              [this](uint32_t root) { return plan_->CacheNeeds(root); }},
             plan_->cache_bytes()) {}

uint64_t RunningRead::BytesOf(size_t units_done) const {
  const size_t left = unit_count() - units_done;
  return left == 0 ? byte_size_ : byte_size_ - byte_size_ / unit_count() * left;
}

// Checks are spread evenly over the read, the first one in front: the headers of many files are
// fetched while other threads have tensors to read.
size_t RunningRead::ChecksBefore(size_t unit) const {
  if (unchecked_.empty()) return 0;
  const size_t every = unit_count() / unchecked_.size();
  return std::min(unchecked_.size(), (unit + every - 1) / every);
}

std::optional<size_t> RunningRead::CheckAt(size_t unit) const {
  const size_t before = ChecksBefore(unit);
  if (ChecksBefore(unit + 1) == before) return std::nullopt;
  return before;
}

Status RunningRead::RunUnit(size_t unit, std::unique_ptr<ChunkBatch>* batch) {
  if (const auto check = CheckAt(unit)) return archive_.headers().Check(unchecked_[*check]);
  unit -= ChecksBefore(unit);
  return plan_->RunUnit(unit, ahead_.get(), &cache_, &wholes_, batch);
}

}  // namespace qstore::store
