// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

#include "qstore/dtype.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore::make {

/// A model to invent, for tests and benchmarks. The weights of a matrix follow
///
///   w = N(0,1) * deviation * exp(row_spread * N(0,1)) * exp(column_spread * N(0,1))
///
/// with one second factor for each row and one third for each column; the published figures of this
/// project mean these defaults. Vectors (norms) are exp(0.1 * N(0,1)).
///
/// The layout is either `count` matrices of rows x columns, or, when rows is 0, that of a LLaMA
/// model with tied embeddings: token embedding, and for each layer q, k, v, o, gate, up, down and
/// two norms. Fields left at 0 are chosen by Synthesize.
struct SynthOptions {
  uint64_t seed = 0;
  DType dtype = DType::kBF16;  ///< kBF16, kF16 or kF32.

  uint64_t rows = 0;     ///< Of each matrix; 0 for the LLaMA layout.
  uint64_t columns = 0;  ///< Of each matrix.
  uint64_t count = 0;    ///< How many matrices; default 1.

  uint64_t layers = 0;        ///< Default 4.
  uint64_t hidden = 0;        ///< Default 1024, or for a size_bytes above 1 and 8 GB 2048 and 4096.
  uint64_t intermediate = 0;  ///< Default 8/3 of hidden, rounded up to a multiple of 256.
  uint64_t vocab = 0;         ///< Default 32000.

  /// When not 0, `count` or `layers` is chosen so that the tensors take about this much.
  uint64_t size_bytes = 0;

  double deviation = 0.02;
  double row_spread = 0.25;
  double column_spread = 0.1;
  /// When not 0, Student's t with so many degrees of freedom (2 or more) in place of N(0,1).
  double student_t = 0;
  /// The part of the columns, 0 to 1, whose weights are 16 times as large.
  double outlier_columns = 0;

  uint64_t shard_bytes = 5'000'000'000;  ///< Largest sum of tensor bytes in one file.
  /// Allow a directory that is not empty: files of the same names are replaced; model.safetensors,
  /// model-*-of-*.safetensors and their index are removed when the new model has no such file.
  bool overwrite = false;
  bool sync = true;           ///< Wait until the files are on the disk.
  unsigned threads = 0;       ///< 0: as many as there are processors.
  ProgressCallback progress;  ///< In bytes of the files written.
};

/// What Synthesize made.
struct SynthReport {
  uint64_t tensors = 0;
  uint64_t weights = 0;       ///< Elements of all tensors.
  uint64_t tensor_bytes = 0;  ///< Their bytes, without headers.
  uint64_t shards = 0;        ///< Number of .safetensors files.
};

/// Writes an invented model to `directory`, as the hub's tools lay one out: config.json, and
/// model.safetensors or shards with model.safetensors.index.json. The bytes are a function of the
/// options alone: the same on every machine, by every compiler and with any number of threads.
/// Never holds more than a few MiB per thread. Errors: kInvalidArgument (options without meaning),
/// kAlreadyExists (the directory holds something), kIo, kCancelled. Nothing is left behind on
/// failure.
/// Thread-safety: may run several times at once on different directories.
Result<SynthReport> Synthesize(const std::filesystem::path& directory, const SynthOptions& options);

}  // namespace qstore::make
