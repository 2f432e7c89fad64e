// SPDX-License-Identifier: Apache-2.0
#include "store/running_read.h"

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

Result<std::vector<ReadTarget>> TargetsOf(const Archive& archive,
                                          std::span<const ReadRequest> requests) {
  const format::Index& tables = archive.impl().index();
  std::vector<ReadTarget> targets;
  targets.reserve(requests.size());
  for (const ReadRequest& request : requests) {
    QSTORE_ASSIGN(const uint64_t size,
                  archive.RowsByteSize(request.tensor, request.row_begin, request.row_end));
    const format::TensorEntry& tensor = tables.tensors[request.tensor];
    if (request.out.size() != size) {
      return InvalidArgument("tensor '" + std::string(tensor.name) + "': a buffer of " +
                             std::to_string(request.out.size()) + " bytes was given for " +
                             std::to_string(size));
    }
    if (size == 0) continue;
    const uint32_t object = tables.parts[tensor.part];
    const uint64_t row_bytes =
        request.row_begin == 0 ? 0 : tables.objects[object].byte_size / tables.shape(tensor)[0];
    targets.push_back({object, request.row_begin * row_bytes, request.out});
  }
  return targets;
}

RunningRead::RunningRead(const ArchiveFile& archive, std::vector<ReadTarget> targets,
                         unsigned threads)
    : archive_(archive),
      byte_size_(SizeOf(targets)),
      plan_(archive, std::move(targets), threads),
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

Status RunningRead::RunUnit(size_t unit, ChunkBatch* batch) {
  batch->ReadBy(ahead_.get());
  if (ahead_ != nullptr) ahead_->Begin(unit);
  Status done = plan_.RunUnit(unit, &cache_, &wholes_, batch);
  if (ahead_ != nullptr) ahead_->Done(unit);
  return done;
}

}  // namespace qstore::store
