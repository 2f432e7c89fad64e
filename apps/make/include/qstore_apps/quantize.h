// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore::make {

/// The precision to make of a model.
enum class QuantizeTarget : uint8_t {
  kLlmInt8,  ///< LLM.int8() of bitsandbytes: linear layers in int8 with one scale for each row.
  kBF16,     ///< Every F64, F32, F16 tensor to BF16.
  kF16,      ///< Every F64, F32, BF16 tensor to F16.
  kFormat,   ///< Linear layers to a format of <qstore/round.h>.
};

/// What kLlmInt8 and kFormat do with the float tensors that are no linear layers.
enum class QuantizeRest : uint8_t { kKeep, kBF16, kF16 };

struct QuantizeOptions {
  QuantizeTarget target = QuantizeTarget::kLlmInt8;
  std::string format;                       ///< Of kFormat only: one of RoundFormats().
  QuantizeRest rest = QuantizeRest::kKeep;  ///< Of kLlmInt8 and kFormat only.
  /// Likewise: patterns of whole tensor names, `*` for any run of characters and `?` for
  /// one, that add matrices to those the rule chooses, or take them away. Exclusion wins.
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool dry_run = false;  ///< Only report; write nothing.
  /// Allow an output that is not empty: files of the same names are replaced. Where
  /// NAME.safetensors or its shards are written, what is left of another model of that name beside
  /// them is removed: NAME.safetensors, NAME-*-of-*.safetensors and their index. Others stay.
  bool overwrite = false;
  bool sync = true;      ///< Wait until the files are on the disk.
  unsigned threads = 0;  ///< 0: as many as there are processors.
  /// In bytes of the files read; not called by a dry run.
  ProgressCallback progress;
};

/// What was done with the tensors, by name, in the order of files and offsets.
struct QuantizeReport {
  std::vector<std::string> quantized;      ///< Now integers or floats of few bits.
  std::vector<std::string> cast;           ///< Now another float type.
  std::vector<std::string> kept_matrices;  ///< Unchanged though they have two dimensions.
  uint64_t kept = 0;                       ///< Unchanged, those included.
  uint64_t source_bytes = 0;               ///< Of all files read.
  uint64_t output_bytes = 0;               ///< Of all files written.
};

/// Makes another precision of the model at `source`, a directory or one .safetensors file, in the
/// directory `output`. Files, shards, names of tensors and metadata stay as they are, indexes and
/// the config.json beside the tensors are rewritten, everything else is copied.
///
/// kLlmInt8 follows bitsandbytes. A linear layer is a float tensor P.weight of two dimensions whose
/// module P is, by its name, neither an embedding table (embed_*, *_embed, *embedding(s), wte, wpe,
/// shared, emb, relative_attention_bias) nor an output head (lm_head and what is in it called
/// decoder, predictions.decoder, embed_out, output_layer, output_projection, and a whole name of
/// output or head). It becomes P.weight I8 [out, in], P.SCB F32 [out] and P.weight_format U8 [] =
/// 0: the weights are cast to F16, SCB is the largest magnitude of a row, and q = w * (127 / SCB)
/// in F32, rounded to nearest with ties to even.
///
/// kFormat takes the same layers and makes of each what Rounder::Create says, byte for byte as the
/// tool that defines the format. A layer whose shape or type does not fit is an error; `exclude`
/// leaves it alone. It reads matrices twice where their largest magnitude is needed. In memory are,
/// for each thread, 4 MiB of weights or one Rounder::unit(), whichever is more, and what becomes of
/// them.
///
/// Casts round to nearest with ties to even, F64 by way of F32 as PyTorch does.
///
/// Errors: kInvalidArgument (no such tensor, a model of GPT-2's transposed layers, a model that is
/// quantized already, the output being the source or its folder, NaN, infinity or a value beyond
/// F16 in a layer to be quantized, a layer that does not fit the format), kCorrupt (a .safetensors
/// file or config.json that cannot be read), kAlreadyExists, kNotFound, kIo, kSourceChanged,
/// kCancelled. Nothing is left behind on failure. Thread-safety: may run several times at once with
/// different outputs.
Result<QuantizeReport> Quantize(const std::filesystem::path& source,
                                const std::filesystem::path& output,
                                const QuantizeOptions& options);

/// Makes several precisions, each in the folder of `output` that has its name, a name of
/// QuantizeTargetOf: all of them or, on an error, none. `options` hold for each, but its target.
/// Returns: a report for each. Errors: as Quantize; kInvalidArgument also for an unknown name, one
/// given twice, or none.
Result<std::vector<QuantizeReport>> QuantizeEach(const std::filesystem::path& source,
                                                 const std::filesystem::path& output,
                                                 std::span<const std::string> targets,
                                                 const QuantizeOptions& options);

}  // namespace qstore::make
