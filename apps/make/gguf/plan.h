// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <vector>

#include "make/gguf/importance.h"
#include "make/gguf/mixture.h"
#include "make/gguf/targets.h"
#include "qstore/byte_source.h"
#include "qstore/gguf.h"
#include "qstore/status.h"
#include "qstore_apps/quantize_gguf.h"

namespace qstore::make {

/// A GGUF file to make others of. What is in it lives as long as this does.
struct GgufModel {
  std::shared_ptr<const ByteSource> file;
  GgufContents contents;  ///< Tensors in the order in which they are written.
  MixtureModel mixture;
  Importance importance;
};

/// What becomes of a tensor.
struct GgufTensorPlan {
  const GgufItem* source = nullptr;
  GgufItem made;  ///< `begin` is its place in the file to be made.
  /// A number for each column, of 3-dimensional tensors for those of each matrix; or empty.
  std::span<const float> importance;

  bool is_kept() const { return source->dtype == made.dtype; }
};

/// One file to be made.
struct GgufPlan {
  GgufTarget target;
  std::vector<std::byte> head;
  std::vector<GgufTensorPlan> tensors;
  uint64_t file_size = 0;
};

/// Reads the head of the file, and the importance when there is any.
Result<GgufModel> ReadGgufModel(std::shared_ptr<const ByteSource> file,
                                const std::filesystem::path& importance);

/// Decides everything but the weights. `model` must outlive the plan.
Result<GgufPlan> PlanGguf(const GgufModel& model, const GgufTarget& target,
                          const GgufOptions& options);

}  // namespace qstore::make
