// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/disk_ids.h"
#include "qstore/byte_source.h"
#include "qstore/level.h"
#include "qstore/status.h"
#include "scheme/chunk_coder.h"
#include "scheme/object_spec.h"
#include "scheme/scheme.h"

namespace qstore::plan {

/// An edge with access to content, to be measured.
struct Candidate {
  const scheme::Bound* bound = nullptr;
  std::vector<const ByteSource*> parents;  ///< As many as `bound` has.
};

/// About how many bytes the object takes.
struct Measured {
  double alone = 0;
  std::vector<double> given;  ///< By candidate.
};

/// Codes samples of `content` alone and under every candidate. What takes far more than another is
/// not coded, and read, further: its measure is less exact. Errors are read errors.
Result<Measured> Measure(const scheme::ObjectSpec& spec, const ByteSource& content,
                         std::span<const Candidate> candidates, Level level,
                         scheme::ChunkCoder* coder);

/// What a chunk became.
struct CodedSize {
  ChunkCodec codec = ChunkCodec::kRaw;
  uint64_t bytes = 0;
};

/// Codes those chunks of `content` as an archive has them, under `edge`, or alone where that is
/// null. Reads these chunks, and of parents what they need. Errors are read errors.
Result<std::vector<CodedSize>> CodeChunks(const scheme::ObjectSpec& spec, const ByteSource& content,
                                          const Candidate* edge, Level level,
                                          std::span<const uint64_t> chunks,
                                          scheme::ChunkCoder* coder);

}  // namespace qstore::plan
