// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/context_rans.h"
#include "codec/huffman.h"
#include "qstore/status.h"

namespace qstore::codec {

// Symbols in runs of a power of two, each run of a class, each class with frequencies of its own:
// rows of weights differ in their spread. docs/format-coding.md, "Runs".

inline constexpr size_t kMaxRunClasses = 16;
inline constexpr unsigned kMaxRunBits = 20;

/// Which class each run has.
struct RunClasses {
  unsigned run_bits = kMaxRunBits;  ///< A run has 2^run_bits symbols.
  std::vector<uint8_t> class_of;    ///< By run.
  std::vector<Histogram> counts;    ///< By class.
  double bytes = 0;                 ///< What the stream takes, about.
};

/// Chooses classes for symbols of which `counts` tells all together.
RunClasses ClassifyRuns(std::span<const uint8_t> symbols, const Histogram& counts);

/// Appends the stream of `symbols`.
void EncodeRuns(std::span<const uint8_t> symbols, RunClasses classes, std::vector<std::byte>* out);

/// The inverse: `count` symbols to `out`. Errors: kCorrupt. See DecodePlane on slack.
Status DecodeRuns(base::ByteReader* payload, size_t count, uint8_t* out);

}  // namespace qstore::codec
