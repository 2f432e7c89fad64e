// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "qstore/status.h"
#include "scheme/chunk_coder.h"
#include "store/object_cache.h"
#include "store/parent_contents.h"
#include "store/whole_source.h"

namespace qstore::store {

class ArchiveFile;
class ReadAhead;

/// Chunks that are read some at a time and decoded one after the other, each perhaps from the one
/// before. Holds the scratch memory of one thread. Not thread-safe.
class ChunkBatch {
 public:
  static constexpr size_t kNoStep = SIZE_MAX;

  explicit ChunkBatch(const ArchiveFile* archive) : archive_(*archive) {}

  /// Payloads come by way of `ahead`; straight from the archive when it is null, as at first.
  void ReadBy(ReadAhead* ahead) { ahead_ = ahead; }

  void Clear();
  /// Of what chunks added from now on are, as WholeSource::Enter takes it: they are decoded while
  /// the thread is inside. At first, and after Clear, WholeHold::kNothing.
  void Hold(uint32_t object) { hold_ = object; }
  /// Adds a chunk. `parent` is the step with the base parent's content, kNoStep when the chunk
  /// needs none. `out` is where the content goes and has its size, or is empty: then it is held
  /// until the next such step of the same `depth`. Returns the step's number.
  size_t Add(uint32_t object, uint32_t chunk, size_t parent, unsigned depth,
             std::span<std::byte> out);
  /// Adds a chunk into `out` with what it needs of its ancestors. Returns the chunk's step.
  size_t AddWithAncestors(uint32_t object, uint32_t chunk, std::span<std::byte> out);
  size_t step_count() const { return steps_.size(); }
  /// Of payloads and of ancestors' content.
  uint64_t scratch_bytes() const;

  /// Called after a step with the content.
  using OnDecoded = std::function<void(size_t step, std::span<const std::byte> content)>;

  /// Reads payloads, in portions that are small enough for the processor's cache and each in the
  /// order of the file, checks and decodes them. `on_decoded` may be empty. Errors: kCorrupt naming
  /// tensor, chunk and offset; read errors.
  Status Run(WholeSource* wholes, const OnDecoded& on_decoded);

 private:
  struct Step {
    uint32_t object = 0;
    uint32_t chunk = 0;
    size_t parent = kNoStep;
    unsigned depth = 0;
    uint32_t hold = WholeHold::kNothing;
    std::span<std::byte> out;
    uint64_t payload_begin = 0;  // In buffer_; for a raw chunk with `out` there is none.
    bool is_direct = false;      // Read straight into `out`.
  };

  size_t EndOfPortion(size_t begin) const;
  Status ReadPayloads(size_t first_step, size_t end_step);
  Status ReadRun(size_t begin, size_t end);
  bool Continues(const Step& before, const Step& step) const;
  Status Decode(Step* step, WholeHold* wholes);
  Status Damaged(const Step& step, const Status& status) const;

  const ArchiveFile& archive_;
  ReadAhead* ahead_ = nullptr;
  uint32_t hold_ = WholeHold::kNothing;
  scheme::ChunkCoder coder_;
  std::vector<Step> steps_;
  std::vector<size_t> by_offset_;
  std::vector<std::byte> buffer_;
  std::vector<std::vector<std::byte>> scratch_;  // By depth.
  RangeMemory ranges_;
};

/// What an ObjectCache loads: some chunks of an object are a block. `ahead` may be null, `wholes`
/// that cache.
WholeLoader::Shape WholeShape(const ArchiveFile& archive, ContentId id);
Status DecodeBlock(const ArchiveFile& archive, ReadAhead* ahead, ContentId id, size_t block,
                   WholeSource* wholes, std::span<std::byte> content);

}  // namespace qstore::store
