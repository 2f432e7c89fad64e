// SPDX-License-Identifier: Apache-2.0
#include "scheme/region.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace qstore::scheme {
namespace {

constexpr uint64_t kBytes = 97;

// What the region has of a parent whose bytes are their places.
std::vector<std::byte> Expected(const Region& region) {
  std::vector<std::byte> bytes;
  for (uint64_t r = 0; r < region.runs; ++r) {
    for (uint64_t i = 0; i < region.run; ++i) {
      bytes.push_back(static_cast<std::byte>(region.begin + r * region.stride + i));
    }
  }
  return bytes;
}

std::vector<Region> AllRegions() {
  std::vector<Region> regions = {{5, 0, 7, 3}, {5, 3, 7, 0}};
  for (uint64_t begin = 0; begin < 12; begin += 5) {
    for (uint64_t run = 1; run < 9; run += 2) {
      regions.push_back({begin, run, 0, 1});
      for (uint64_t stride = run; stride < 12; stride += 3) {
        for (uint64_t runs = 2; begin + (runs - 1) * stride + run <= kBytes; runs += 3) {
          regions.push_back({begin, run, stride, runs});
        }
      }
    }
  }
  return regions;
}

TEST(Region, IsPutTogetherFromTheChunksThatHaveIt) {
  std::vector<std::byte> parent;
  for (uint64_t i = 0; i < kBytes; ++i) parent.push_back(static_cast<std::byte>(i));
  for (const Region& region : AllRegions()) {
    for (const uint64_t chunk_bytes : {1u, 2u, 7u, 30u, 97u, 200u}) {
      const ChunkRange chunks = ChunksOf(region, chunk_bytes);
      std::vector<std::byte> out(region.size(), std::byte{255});
      std::set<uint64_t> wanted;
      for (const std::byte place : Expected(region)) {
        wanted.insert(static_cast<uint64_t>(place) / chunk_bytes);
      }
      std::vector<uint64_t> visited;
      ForEachChunk(region, chunk_bytes, [&](uint64_t chunk) {
        visited.push_back(chunk);
        const uint64_t begin = chunk * chunk_bytes;
        const auto part = std::span(parent).subspan(begin, std::min(chunk_bytes, kBytes - begin));
        CopyRegion(region, begin, part, out);
      });
      ASSERT_EQ(out, Expected(region));
      ASSERT_EQ(visited, std::vector<uint64_t>(wanted.begin(), wanted.end()));
      const uint64_t end = std::min(chunks.end * chunk_bytes, kBytes);
      ASSERT_EQ(CoveredBytes(region, chunk_bytes, kBytes), end - chunks.first * chunk_bytes);
      if (!visited.empty()) {
        ASSERT_EQ(chunks.first, visited.front());
        ASSERT_EQ(chunks.end, visited.back() + 1);
      }
    }
  }
}

}  // namespace
}  // namespace qstore::scheme
