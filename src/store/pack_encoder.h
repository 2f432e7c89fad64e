// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <vector>

#include "base/hash.h"
#include "base/sha256.h"
#include "format/index.h"
#include "io/file_writer.h"
#include "qstore/pack.h"
#include "store/pack_plan.h"

namespace qstore::store {

/// What coding leaves for the index.
struct EncodedObjects {
  std::vector<format::ObjectEntry> objects;  ///< With their chunks. Parameters are the plan's.
  std::vector<uint32_t> parents;             ///< As format::Index has them.
  std::vector<format::ChunkEntry> chunks;
  struct Digests {
    base::Digest128 xxh3{};
    base::Sha256Digest sha256{};  ///< Zeros where the options do not ask for it.
  };
  std::vector<std::vector<Digests>> digests;  ///< By variant and file.
  bool has_sha256 = false;
};

/// The objects of the plan with chunks and digests that are still empty.
/// Errors: kLimit (too many chunks).
Result<EncodedObjects> LayOutObjects(const PackPlan& plan, bool has_sha256);

/// Threads that may code at once within options.memory_limit: `threads` at most, one at least.
unsigned AffordableThreads(const PackOptions& options, unsigned threads);

/// Codes every new object of the plan and appends the payloads to `output`, in the order of the
/// plan; computes the digest of every new file. Parents' contents are read again from their files
/// and must be what was coded. Errors: read and write errors, kSourceChanged, kCancelled.
Result<EncodedObjects> EncodeObjects(const PackPlan& plan, const PackOptions& options,
                                     unsigned threads, io::FileWriter* output);

}  // namespace qstore::store
