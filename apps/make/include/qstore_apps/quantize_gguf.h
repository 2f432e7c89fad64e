// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/dtype.h"
#include "qstore/progress.h"
#include "qstore/status.h"

// Makes GGUF files of fewer bits, as llama.cpp's llama-quantize does.

namespace qstore::make {

/// The names of what can be made of a GGUF file, in lower case: "q4_0", "q4_k_m", "f16", ...
std::vector<std::string_view> GgufTargetNames();
/// Whether it is one of these, in any letter case.
bool IsGgufTarget(std::string_view name);
/// The type of that name, as ggml has it in any letter case, when it can be made.
std::optional<DType> GgufTypeOf(std::string_view name);

struct GgufOptions {
  bool pure = false;                    ///< One type for all matrices, no mixture.
  bool keep_output = false;             ///< Leave output.weight as it is.
  std::optional<DType> output_type;     ///< Of output.weight.
  std::optional<DType> embedding_type;  ///< Of token_embd.weight.
  bool allow_requantize = false;        ///< Also of tensors that have few bits already.
  std::filesystem::path importance;     ///< A file of llama-imatrix, .gguf or .dat; may be empty.
  bool dry_run = false;                 ///< Only report; write nothing.
  bool overwrite = false;               ///< Replace files of the same names.
  bool sync = true;                     ///< Wait until the files are on the disk.
  unsigned threads = 0;                 ///< 0: as many as there are processors.
  /// In bytes of tensors read, of all files to make; not called by a dry run.
  ProgressCallback progress;
};

struct GgufMadeTensor {
  std::string name;
  DType from = DType::kU8;
  DType to = DType::kU8;
};

/// What was made for one target; tensors in the order of the file.
struct GgufReport {
  std::string target;  ///< As llama-quantize has it: "Q4_K_M".
  std::filesystem::path file;
  std::vector<GgufMadeTensor> tensors;
  uint64_t source_bytes = 0;
  uint64_t output_bytes = 0;
};

/// Makes files of the GGUF file `source` in the directory `output`, one for each target, the names
/// of GgufTargetNames in any letter case. A file has the name of the source with that of the target
/// in place of its precision, or behind it: model-bf16.gguf becomes model-Q4_K_M.gguf. Types,
/// contents and head are those that llama-quantize writes: docs/format-ggml.md, "Mixtures".
///
/// In memory are, for each thread, about a megabyte of weights or a row, whichever is more, the
/// head, and the importance.
///
/// Errors: kInvalidArgument (an unknown target or one given twice or none, tensors of few bits
/// without `allow_requantize`, a tensor that the target's types do not fit, infinity or NaN, a file
/// that is one part of several, importance of another size or none where it is needed, an output
/// that is the source, a target that changes nothing), kCorrupt (a file that cannot be read as
/// such), kAlreadyExists, kNotFound, kIo, kSourceChanged, kCancelled. Each file appears whole or
/// not at all, and none before all are made.
Result<std::vector<GgufReport>> QuantizeGguf(const std::filesystem::path& source,
                                             const std::filesystem::path& output,
                                             std::span<const std::string> targets,
                                             const GgufOptions& options);

}  // namespace qstore::make
