// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace qstore::scheme {

/// Bytes of a parent: `runs` runs of `run` bytes each, `stride` apart, the first at `begin`. None
/// where `run` or `runs` is 0. Where there are several, `stride` is `run` or more.
struct Region {
  uint64_t begin = 0;
  uint64_t run = 0;
  uint64_t stride = 0;
  uint64_t runs = 1;

  uint64_t size() const { return run * runs; }
  uint64_t end() const { return size() == 0 ? begin : begin + (runs - 1) * stride + run; }
};

/// The chunks from the one with the first byte of a region to the one with the last.
struct ChunkRange {
  uint64_t first = 0;
  uint64_t end = 0;
};

inline ChunkRange ChunksOf(const Region& region, uint64_t chunk_bytes) {
  if (region.size() == 0) return {};
  return {region.begin / chunk_bytes, (region.end() - 1) / chunk_bytes + 1};
}

/// Calls `visit` with each chunk that has bytes of a region, in order: those between runs are left
/// out.
template <class Visit>
void ForEachChunk(const Region& region, uint64_t chunk_bytes, const Visit& visit) {
  if (region.size() == 0) return;
  uint64_t next = 0;
  for (uint64_t r = 0; r < region.runs; ++r) {
    const uint64_t begin = region.begin + r * region.stride;
    const uint64_t end = (begin + region.run - 1) / chunk_bytes + 1;
    for (next = std::max(next, begin / chunk_bytes); next < end; ++next) visit(next);
  }
}

/// Bytes of all of them.
inline uint64_t CoveredBytes(const Region& region, uint64_t chunk_bytes, uint64_t byte_size) {
  const ChunkRange chunks = ChunksOf(region, chunk_bytes);
  return std::min(byte_size, chunks.end * chunk_bytes) - chunks.first * chunk_bytes;
}

/// Copies what `part`, the bytes from `begin` on, has of a region to where it belongs in `out`,
/// which holds the runs end to end.
inline void CopyRegion(const Region& region, uint64_t begin, std::span<const std::byte> part,
                       std::span<std::byte> out) {
  const uint64_t end = begin + part.size();
  const uint64_t stride = std::max<uint64_t>(1, region.stride);
  const uint64_t skipped = begin > region.begin ? (begin - region.begin) / stride : 0;
  for (uint64_t r = std::min(skipped, region.runs - 1); r < region.runs; ++r) {
    const uint64_t run = region.begin + r * region.stride;
    if (run >= end) break;
    const uint64_t from = std::max(run, begin);
    const uint64_t to = std::min(run + region.run, end);
    if (from >= to) continue;
    std::memcpy(out.data() + r * region.run + (from - run), part.data() + (from - begin),
                static_cast<size_t>(to - from));
  }
}

}  // namespace qstore::scheme
