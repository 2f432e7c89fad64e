// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "qstore/archive.h"
#include "qstore/export.h"
#include "qstore/pack.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore {

struct VerifyOptions {
  unsigned threads = 0;  ///< 0: all processors this process may run on.
  /// Most bytes that the files may have, all together: small archives can stand for very large
  /// ones.
  uint64_t max_bytes = UINT64_MAX;
  ProgressCallback progress;
};

struct VerifyReport {
  uint64_t files = 0;  ///< Of all variants.
  uint64_t bytes = 0;  ///< Of these files.
  uint64_t compared_bytes = 0;
};

/// Reads and decodes the whole archive, compares the digest of every file, and its SHA-256 where
/// the archive has that, and its tensors as they are listed with its header; and every variant
/// named in `originals` with the files at its path. Errors: kCorrupt (the first damage), kMismatch
/// (the first file missing, added or different, with the offset), kNotFound (variant, path), kLimit
/// (`max_bytes`, OpenOptions::max_memory; before anything is decoded), kIo, kSourceChanged,
/// kCancelled.
QSTORE_EXPORT Result<VerifyReport> Verify(const Archive& archive,
                                          std::span<const VariantSource> originals = {},
                                          const VerifyOptions& options = {});

}  // namespace qstore
