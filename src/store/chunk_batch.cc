// SPDX-License-Identifier: Apache-2.0
#include "store/chunk_batch.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <optional>
#include <string>

#include "base/hash.h"
#include "base/page_memory.h"
#include "base/status_macros.h"
#include "store/archive_file.h"
#include "store/parent_contents.h"
#include "store/read_ahead.h"

namespace qstore::store {
namespace {

// Chunks of a block, when a whole object is decoded.
constexpr uint32_t kWholeSteps = 16;
// Payloads read and decoded before the next ones are read: what stays in the processor's cache.
constexpr uint64_t kPortionBytes = uint64_t{1} << 19;
constexpr size_t kWorthPrefault = size_t{1} << 17;
// Content that is read straight to its place, by a call of its own: less is copied in less time.
constexpr size_t kWorthDirect = size_t{1} << 13;

}  // namespace

void ChunkBatch::Clear() {
  steps_.clear();
  hold_ = WholeHold::kNothing;
}

uint64_t ChunkBatch::scratch_bytes() const {
  uint64_t bytes = buffer_.capacity();
  for (const auto& content : scratch_) bytes += content.capacity();
  for (const auto& range : ranges_) bytes += range.capacity();
  return bytes;
}

size_t ChunkBatch::Add(uint32_t object, uint32_t chunk, size_t parent, unsigned depth,
                       std::span<std::byte> out) {
  const bool is_raw = archive_.chunk(object, chunk).codec == ChunkCodec::kRaw;
  Step step;
  step.object = object;
  step.chunk = chunk;
  step.parent = parent;
  step.depth = depth;
  step.hold = hold_;
  step.out = out;
  step.is_direct = is_raw && out.size() >= kWorthDirect;
  steps_.push_back(step);
  return steps_.size() - 1;
}

size_t ChunkBatch::AddWithAncestors(uint32_t object, uint32_t chunk, std::span<std::byte> out) {
  size_t parent = kNoStep;
  const uint32_t chunk_parent = archive_.graph().chunk_parent(object);
  if (archive_.NeedsParents(object, chunk) && chunk_parent != kNoObject) {
    parent = AddWithAncestors(chunk_parent, chunk, {});
  }
  return Add(object, chunk, parent, archive_.graph().ChunkedAncestors(object), out);
}

Status ChunkBatch::Run(WholeSource* wholes, const OnDecoded& on_decoded) {
  WholeHold hold(wholes);
  for (size_t begin = 0; begin < steps_.size();) {
    const size_t end = EndOfPortion(begin);
    for (size_t s = begin; s < end; ++s) {
      if (steps_[s].out.size() >= kWorthPrefault) base::Prefault(steps_[s].out);
    }
    QSTORE_TRY(ReadPayloads(begin, end));
    for (size_t s = begin; s < end; ++s) {
      QSTORE_TRY(hold.MoveTo(steps_[s].hold));
      QSTORE_TRY(Decode(&steps_[s], &hold));
      if (on_decoded) on_decoded(s, steps_[s].out);
    }
    begin = end;
  }
  return {};
}

size_t ChunkBatch::EndOfPortion(size_t begin) const {
  uint64_t size = 0;
  size_t end = begin;
  for (; end < steps_.size(); ++end) {
    size += archive_.chunk(steps_[end].object, steps_[end].chunk).stored_size;
    if (end > begin && size > kPortionBytes) break;
  }
  return end;
}

// Payloads next to one another in the file, going to places next to one another.
bool ChunkBatch::Continues(const Step& before, const Step& step) const {
  const format::ChunkEntry& last = archive_.chunk(before.object, before.chunk);
  const format::ChunkEntry& next = archive_.chunk(step.object, step.chunk);
  if (last.offset + last.stored_size != next.offset || before.is_direct != step.is_direct) {
    return false;
  }
  return !step.is_direct || before.out.data() + before.out.size() == step.out.data();
}

Status ChunkBatch::ReadPayloads(size_t first_step, size_t end_step) {
  by_offset_.resize(end_step - first_step);
  std::iota(by_offset_.begin(), by_offset_.end(), first_step);
  std::sort(by_offset_.begin(), by_offset_.end(), [this](size_t a, size_t b) {
    return archive_.chunk(steps_[a].object, steps_[a].chunk).offset <
           archive_.chunk(steps_[b].object, steps_[b].chunk).offset;
  });
  uint64_t size = 0;
  for (const size_t s : by_offset_) {
    if (steps_[s].is_direct) continue;
    steps_[s].payload_begin = size;
    size += archive_.chunk(steps_[s].object, steps_[s].chunk).stored_size;
  }
  if (buffer_.size() < size) buffer_.resize(size);
  for (size_t begin = 0; begin < by_offset_.size();) {
    size_t end = begin + 1;
    while (end < by_offset_.size() &&
           Continues(steps_[by_offset_[end - 1]], steps_[by_offset_[end]])) {
      ++end;
    }
    QSTORE_TRY(ReadRun(begin, end));
    begin = end;
  }
  return {};
}

Status ChunkBatch::ReadRun(size_t begin, size_t end) {
  const Step& first = steps_[by_offset_[begin]];
  const Step& last = steps_[by_offset_[end - 1]];
  const format::ChunkEntry& first_chunk = archive_.chunk(first.object, first.chunk);
  const format::ChunkEntry& last_chunk = archive_.chunk(last.object, last.chunk);
  const uint64_t size = last_chunk.offset + last_chunk.stored_size - first_chunk.offset;
  std::byte* to = first.is_direct ? first.out.data() : buffer_.data() + first.payload_begin;
  const std::span<std::byte> out(to, static_cast<size_t>(size));
  return ahead_ == nullptr ? archive_.Read(first_chunk.offset, out)
                           : ahead_->Read(first_chunk.offset, out);
}

Status ChunkBatch::Decode(Step* step, WholeHold* wholes) {
  const format::ObjectEntry& object = archive_.index().objects[step->object];
  const format::ChunkEntry& chunk = archive_.chunk(step->object, step->chunk);
  const std::span<const std::byte> payload =
      step->is_direct ? std::span<const std::byte>(step->out)
                      : std::span(buffer_).subspan(step->payload_begin, chunk.stored_size);
  if (base::Hash64(payload) != chunk.checksum) {
    return Damaged(*step, Corrupt("checksum differs"));
  }
  if (step->is_direct) return {};
  if (step->out.empty()) {
    if (scratch_.size() <= step->depth) scratch_.resize(step->depth + 1);
    auto& scratch = scratch_[step->depth];
    const auto size = static_cast<size_t>(archive_.index().chunk_raw_size(object, step->chunk));
    if (scratch.size() < size) scratch.resize(size);
    step->out = std::span(scratch).first(size);
  }
  ParentContents parents;
  if (archive_.NeedsParents(step->object, step->chunk)) {
    const scheme::ObjectSpec spec = SpecOf(object);
    const scheme::ChunkAt at{spec.first_elem(step->chunk), spec.chunk_elem_count(step->chunk)};
    std::optional<std::span<const std::byte>> of_parent;
    if (step->parent != kNoStep) of_parent = steps_[step->parent].out;
    QSTORE_ASSIGN(
        parents, ParentContents::Fetch(
                     *archive_.graph().bound(step->object), archive_.index().parents_of(object), at,
                     of_parent,
                     {[wholes](ContentId id) { return wholes->Get(id); },
                      [this](uint32_t id) { return archive_.index().objects[id].chunk_bytes(); }},
                     &ranges_));
  } else if (chunk.codec == ChunkCodec::kScheme && object.scheme != kNoScheme) {
    return Damaged(*step,
                   {ErrorCode::kUnsupportedFeature,
                    "scheme " + std::to_string(object.scheme) + ", or its rule, is unknown here"});
  }
  return Damaged(*step, coder_.Decode(SpecOf(object), step->chunk, chunk.codec, payload,
                                      parents.given(), step->out));
}

Status ChunkBatch::Damaged(const Step& step, const Status& status) const {
  if (status.ok()) return status;
  const format::ChunkEntry& chunk = archive_.chunk(step.object, step.chunk);
  return archive_.Explained(status.WithContext(
      archive_.path().string() + ": " + archive_.Describe(step.object) + ", chunk " +
      std::to_string(step.chunk) + " at offset " + std::to_string(chunk.offset)));
}

WholeLoader::Shape WholeShape(const ArchiveFile& archive, ContentId id) {
  const format::ObjectEntry& entry = archive.index().objects[id.object];
  if (!id.is_whole()) {
    return {static_cast<size_t>(archive.index().chunk_raw_size(entry, id.chunk)), 1};
  }
  return {static_cast<size_t>(entry.byte_size),
          (entry.chunk_count + kWholeSteps - 1) / kWholeSteps};
}

Status DecodeBlock(const ArchiveFile& archive, ReadAhead* ahead, ContentId id, size_t block,
                   WholeSource* wholes, std::span<std::byte> content) {
  const format::ObjectEntry& entry = archive.index().objects[id.object];
  auto batch = archive.TakeBatch(ahead);
  batch->Clear();
  if (id.is_whole()) {
    const auto begin = static_cast<uint32_t>(block * kWholeSteps);
    const auto end =
        static_cast<uint32_t>(std::min<size_t>(begin + kWholeSteps, entry.chunk_count));
    for (uint32_t chunk = begin; chunk < end; ++chunk) {
      const uint64_t size = archive.index().chunk_raw_size(entry, chunk);
      batch->AddWithAncestors(id.object, chunk, content.subspan(chunk * entry.chunk_bytes(), size));
    }
  } else {
    batch->AddWithAncestors(id.object, id.chunk, content);
  }
  const Status status = batch->Run(wholes, nullptr);
  archive.GiveBack(std::move(batch));
  return status;
}

}  // namespace qstore::store
