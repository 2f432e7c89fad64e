// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/context_rans.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

// Floats by the steps that they are away from other floats. How large steps are depends on how far
// apart floats lie, which the exponent tells, and on how far training has moved a stretch of
// weights, which a class of its own tells. docs/format-coding.md, "Delta".

namespace qstore::scheme {

/// Distances of an exponent below the largest that are told apart.
inline constexpr size_t kDeltaExponents = 16;
inline constexpr size_t kMaxDeltaClasses = 8;
inline constexpr size_t kMaxDeltaContexts = 32;
/// Runs of elements, of one class each: 2^kMinDeltaRunBits elements at least.
inline constexpr unsigned kMinDeltaRunBits = 5;
inline constexpr unsigned kMaxDeltaRunBits = 16;

/// Steps, zigzag, below this are symbols; others are a symbol for the place of the highest bit and
/// the two bits behind it, and bits for the rest.
inline constexpr unsigned kSmallSteps = 16;

/// Bits of a step that its symbol does not tell.
inline constexpr unsigned ExtraBitsOf(unsigned symbol) {
  return symbol < kSmallSteps ? 0 : 2 + (symbol - kSmallSteps) / 4;
}
/// The least step with that symbol.
inline constexpr uint64_t FirstStepOf(unsigned symbol) {
  if (symbol < kSmallSteps) return symbol;
  return uint64_t{4 + (symbol - kSmallSteps) % 4} << ExtraBitsOf(symbol);
}
/// Symbols that elements of so many bits may have.
inline constexpr unsigned DeltaSymbols(unsigned bits) { return kSmallSteps + 4 * (bits - 4); }

struct DeltaScratch {
  std::vector<uint8_t> symbols;
  std::vector<uint8_t> contexts;
  std::vector<uint8_t> class_of;  // By run.
  std::vector<uint32_t> steps;    // Of the encoder, as what follows.
  std::vector<uint64_t> moved;    // By run: how far its weights are from their parents.
  std::vector<uint8_t> extra;
  codec::ContextRansScratch rans;
};
/// What a decoder takes of it for so many elements.
constexpr uint64_t DeltaBytes(uint64_t elems) {
  return 2 * elems + (elems >> kMinDeltaRunBits) + codec::ContextRansBytes(kMaxDeltaContexts);
}

/// Appends patterns of `dtype` given as many others. Types: F16, BF16, F32.
void EncodeDelta(DType dtype, std::span<const std::byte> raw, std::span<const std::byte> parent,
                 DeltaScratch* scratch, std::vector<std::byte>* out);

/// The inverse; fills `raw`. Safe for any payload. Errors: kCorrupt, naming the rule.
Status DecodeDelta(DType dtype, base::ByteReader* payload, std::span<const std::byte> parent,
                   DeltaScratch* scratch, std::span<std::byte> raw);

}  // namespace qstore::scheme
