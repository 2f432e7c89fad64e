// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "json_writer.h"
#include "qstore/archive.h"
#include "qstore/pack.h"

namespace qstore::cli {

/// What users want to know once an archive is packed.
struct PackSummary {
  struct Variant {
    std::string name;
    uint64_t source_bytes = 0;
    uint64_t own_bytes = 0;  ///< That it adds to the archive.
    uint64_t load_bytes = 0;
  };
  uint64_t source_bytes = 0;
  uint64_t stored_bytes = 0;
  std::vector<Variant> variants;
  uint64_t zstd_bytes = 0;  ///< What zstd -3 would make of the files, from samples; 0: unknown.
  std::string half;         ///< The largest variant of 16-bit floats, or nothing.
  uint64_t half_bytes = 0;  ///< Of its files.
  std::vector<std::string> remarks;  ///< On files that may be here by mistake.
};

/// Reads the archive's index and a few MiB of the files. Errors: those of Archive.
Result<PackSummary> SummarizePack(const Archive& archive,
                                  const std::vector<VariantSource>& sources);

/// As lines of text, each with its end.
std::string TextOf(const PackSummary& summary);
/// The members `variants`, `zstd_estimate_bytes` and `remarks` of an object.
void AddTo(const PackSummary& summary, JsonWriter* document);

}  // namespace qstore::cli
