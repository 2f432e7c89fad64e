// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace qstore::scheme {

/// Scratch memory of MayRepeat.
struct RepeatScratch {
  std::vector<uint32_t> places;
  std::vector<uint64_t> seen;
};

/// Whether a good part of `raw`, the content of a chunk, may be repetitions of itself at any
/// distance, which a general codec finds and a parent does not explain. A guess, made on places
/// that the content itself selects: it costs bytes or time, never data. Deterministic.
bool MayRepeat(std::span<const std::byte> raw, RepeatScratch* scratch);

}  // namespace qstore::scheme
