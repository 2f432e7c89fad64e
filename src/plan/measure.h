// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

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

}  // namespace qstore::plan
