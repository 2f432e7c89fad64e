// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

// What a reader accepts. A writer keeps within it: a safetensors file beyond a limit is stored as
// an opaque file, a model beyond a limit is refused. docs/format.md, "Limits".

namespace qstore::format {

/// Decompressed index. A trillion weights in two precisions need about 100 MiB.
inline constexpr uint64_t kMaxIndexBytes = uint64_t{1} << 28;
/// Stored index: what zstd makes of the largest one in the worst case (ZSTD_compressBound).
inline constexpr uint64_t kMaxStoredIndexBytes = kMaxIndexBytes + (kMaxIndexBytes >> 8);
/// No zstd frame expands further: a block of 128 KiB takes at least 4 bytes.
inline constexpr uint64_t kMaxIndexExpansion = 32768;
inline constexpr size_t kMaxVariants = 1024;
inline constexpr size_t kMaxVariantNameBytes = 255;
inline constexpr size_t kMaxPathBytes = 4096;
inline constexpr size_t kMaxTensorNameBytes = 65535;
inline constexpr size_t kMaxRank = 255;
/// Decoded bytes of one chunk: what a reader allocates for each level of parents and thread.
inline constexpr uint64_t kMaxChunkBytes = uint64_t{1} << 24;
/// Scales and the like, which are held in memory whole.
inline constexpr uint64_t kMaxScalesBytes = uint64_t{1} << 26;
/// A parent that chunks take whole, which is held in memory.
inline constexpr uint64_t kMaxWholeBytes = uint64_t{1} << 29;
/// Decoded bytes of the chunks that have what a chunk takes of a parent by range.
inline constexpr uint64_t kMaxRangeBytes = uint64_t{1} << 26;
/// Ancestors of an object in a row.
inline constexpr unsigned kMaxDepth = 8;
/// Ancestors of an object, each counted for every way to it.
inline constexpr unsigned kMaxAncestors = 4095;
/// Those of all objects together: what is done for each is little, but done.
inline constexpr uint64_t kMaxAllAncestors = uint64_t{1} << 26;
inline constexpr size_t kMaxParents = 1024;
/// Parameters of an object's scheme.
inline constexpr size_t kMaxParamBytes = 1024;
/// Any offset or sum of sizes, so that adding two of them cannot wrap.
inline constexpr uint64_t kMaxSize = uint64_t{1} << 62;

}  // namespace qstore::format
