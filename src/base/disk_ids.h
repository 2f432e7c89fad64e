// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// Every number that is written to disk, besides DType in <qstore/dtype.h>.
// NOTE: do not change the values of existing entries, as these are part of the persistent format.

namespace qstore {

inline constexpr uint16_t kFormatVersion = 1;

/// What a file of a variant is: a row of container/registry.cc. docs/format.md, "Containers".
using ContainerId = uint8_t;
inline constexpr ContainerId kNoContainer = 0;  ///< Bytes without known structure.

/// What else is known of a file, as bits.
enum class FileFlag : uint8_t {
  kExecutable = 1,  ///< Its owner may run it.
  kDirectory = 2,   ///< It is a directory without files.
};
inline constexpr unsigned kKnownFileFlags = 3;

/// Parts of the index. A reader refuses kinds it does not know below kFirstSkippableSection and
/// skips those from there on.
enum class IndexSection : uint8_t {
  kVariants = 1,
  kFiles = 2,
  kTensors = 3,
  kObjects = 4,
  kChunks = 5,
  kSha256 = 128,
};
inline constexpr uint8_t kFirstSkippableSection = 128;

/// How an object's parents explain its content: a row of scheme/registry.cc. docs/format-coding.md,
/// "Schemes".
using SchemeId = uint16_t;
inline constexpr SchemeId kNoScheme = 0;  ///< Of an object without parents.

/// How one chunk's payload is coded. docs/format-coding.md, "Chunk codecs".
enum class ChunkCodec : uint8_t {
  kRaw = 0,     ///< The content itself.
  kZstd = 1,    ///< One zstd frame.
  kPlanes = 2,  ///< Byte planes of fixed-size elements, each a plane stream.
  kInt8 = 3,    ///< Signed bytes: top nibbles in pairs as one plane, low nibbles as another.
  kFloat = 4,   ///< Floats: exponent with leading mantissa bits as a plane, the rest as planes.
  kScheme = 5,  ///< By the object's scheme, from its parents.
  kRows = 6,    ///< Each element as the rows before, and the elements before it, let expect it.
  kBlocks = 7,  ///< Blocks taken apart: a stream for each field of theirs.
  kBlocksByZero = 8,  ///< The same with codes by context: where between the codes zero lies.
};
inline constexpr unsigned kChunkCodecCount = 9;

/// How a plane stream is coded. docs/format-coding.md, "Plane streams".
enum class PlaneMode : uint8_t {
  kConstant = 0,  ///< One symbol, repeated.
  kPacked = 1,    ///< Symbols of a fixed width, bit-packed.
  kHuffman = 2,   ///< Canonical Huffman code, 1 or 32 interleaved bit streams.
  kSparse = 3,    ///< One symbol, with exceptions listed.
  kRans = 4,      ///< Range asymmetric numeral systems, 32 interleaved states.
  kRuns = 5,      ///< The same, with a table for each class of runs of symbols.
};

}  // namespace qstore
