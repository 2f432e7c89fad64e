// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "commands.h"
#include "qstore/archive.h"

namespace qstore::cli {

struct VariantSummary {
  VariantInfo info;
  VariantSizes sizes;
  uint64_t weights = 0;
};

/// What commands tell of an archive as a whole.
struct ArchiveSummary {
  std::vector<VariantSummary> variants;
  uint64_t source_bytes = 0;
  uint64_t most_weights = 0;  ///< Of a variant.
  double bits_per_weight = 0;
};

/// Errors: kLimit.
Result<ArchiveSummary> Summarize(const Archive& archive);

uint64_t WeightsOf(const TensorInfo& tensor);
double BitsPerWeight(uint64_t bytes, uint64_t weights);
std::string Hex(std::span<const std::byte> bytes);
/// The name of the variant that a tensor belongs to.
std::string_view VariantOf(const Archive& archive, size_t tensor);

using UseFile = std::function<void(const FileInfo& file)>;
using UseTensor = std::function<void(const TensorInfo& tensor, const TensorCoding& coding)>;

/// Calls `use` for each file, or tensor, of a variant. `memory` adds up what printing them all
/// takes. Errors: kLimit, where that is more than `limits` has.
Status ForFiles(const Archive& archive, size_t variant, const ReadLimits& limits, uint64_t* memory,
                const UseFile& use);
Status ForTensors(const Archive& archive, size_t variant, const ReadLimits& limits,
                  uint64_t* memory, const UseTensor& use);

}  // namespace qstore::cli
