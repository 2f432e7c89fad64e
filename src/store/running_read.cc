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
  std::unordered_set<uint32_t> scales;
  return std::make_unique<ReadAhead>(
      archive, plan.unit_count(),
      [&](size_t unit, std::vector<Extent>* extents) { plan.AddExtents(unit, &scales, extents); });
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

RunningRead::RunningRead(const ArchiveFile& archive, ReadTargets wanted, unsigned threads)
    : archive_(archive),
      byte_size_(SizeOf(wanted.targets)),
      unchecked_(std::move(wanted.unchecked)),
      plan_(archive, std::move(wanted.targets), threads),
      ahead_(ReadAheadOf(archive, plan_)),
      wholes_(plan_.wholes()),
      cache_({[this](uint32_t object) { return WholeShape(archive_, object); },
              [this](uint32_t object, size_t block, std::span<std::byte> content) {
                return DecodeBlock(archive_, ahead_.get(), object, block, &cache_, content);
              }}) {}

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

Status RunningRead::RunUnit(size_t unit, ChunkBatch* batch) {
  if (const auto check = CheckAt(unit)) return archive_.headers().Check(unchecked_[*check]);
  unit -= ChecksBefore(unit);
  batch->ReadBy(ahead_.get());
  if (ahead_ != nullptr) ahead_->Begin(unit);
  Status done = plan_.RunUnit(unit, &cache_, &wholes_, batch);
  if (ahead_ != nullptr) ahead_->Done(unit);
  return done;
}

}  // namespace qstore::store
