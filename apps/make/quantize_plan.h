// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "io/file.h"
#include "io/safetensors.h"
#include "qstore/round.h"
#include "qstore/status.h"
#include "qstore_apps/quantize.h"

namespace qstore::make {

/// What becomes of one tensor, and where its bytes go in the output file.
struct TensorPlan {
  enum class Action : uint8_t { kKeep, kCast, kQuantize, kRound };
  Action action = Action::kKeep;
  io::SafetensorsTensor source;
  DType dtype = DType::kU8;   ///< Of the output.
  uint64_t begin = 0;         ///< Offset of the output's content.
  uint64_t scb_begin = 0;     ///< Of SCB; kQuantize only.
  uint64_t format_begin = 0;  ///< Of weight_format; kQuantize only.
  // kRound only.
  std::shared_ptr<const Rounder> rounder;
  std::vector<uint64_t> part_begin;  ///< Of each of its tensors.
  float peak = 0;                    ///< What Rounder::Round wants; found before it is called.
};

/// One output file.
struct FilePlan {
  enum class Kind : uint8_t { kCopy, kText, kTensors };
  Kind kind = Kind::kCopy;
  std::string path;  ///< Relative, the same as in the source.
  std::shared_ptr<const io::SourceFile> source;
  std::string text;                 ///< kText: the whole content. kTensors: what precedes the data.
  std::vector<TensorPlan> tensors;  ///< kTensors only.
  uint64_t output_size = 0;
};

struct QuantizePlan {
  std::vector<FilePlan> files;
  QuantizeReport report;
};

/// Reads every header, config and index of the model, and decides everything but the values.
Result<QuantizePlan> PlanQuantize(const std::filesystem::path& source,
                                  const QuantizeOptions& options);

}  // namespace qstore::make
