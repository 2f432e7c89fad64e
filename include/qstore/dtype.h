// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "qstore/export.h"

namespace qstore {

/// Element types, by their safetensors names, and behind them the block types of ggml, by the names
/// that ggml has for them: a block is a few bytes that hold weights of one row, with their scales.
/// On disk: do not change the values of existing entries, they are part of the persistent format.
enum class DType : uint8_t {
  kBool = 0,
  kF4 = 1,
  kF6E2M3 = 2,
  kF6E3M2 = 3,
  kU8 = 4,
  kI8 = 5,
  kF8E5M2 = 6,
  kF8E4M3 = 7,
  kF8E8M0 = 8,
  kF8E4M3Fnuz = 9,
  kF8E5M2Fnuz = 10,
  kI16 = 11,
  kU16 = 12,
  kF16 = 13,
  kBF16 = 14,
  kI32 = 15,
  kU32 = 16,
  kF32 = 17,
  kC64 = 18,
  kF64 = 19,
  kI64 = 20,
  kU64 = 21,
  kQ4_0 = 22,
  kQ4_1 = 23,
  kQ5_0 = 24,
  kQ5_1 = 25,
  kQ8_0 = 26,
  kQ8_1 = 27,
  kQ2K = 28,
  kQ3K = 29,
  kQ4K = 30,
  kQ5K = 31,
  kQ6K = 32,
  kQ8K = 33,
  kIq2Xxs = 34,
  kIq2Xs = 35,
  kIq2S = 36,
  kIq3Xxs = 37,
  kIq3S = 38,
  kIq1S = 39,
  kIq1M = 40,
  kIq4Nl = 41,
  kIq4Xs = 42,
  kTq1_0 = 43,
  kTq2_0 = 44,
  kMxfp4 = 45,
  kNvfp4 = 46,
  kQ1_0 = 47,
  kQ2_0 = 48,
};
inline constexpr unsigned kDTypeCount = 49;
/// The types that a safetensors file may have come first.
inline constexpr unsigned kSafetensorsDTypeCount = 22;

/// Bits of one element: 4 for F4, 6 for the F6 types, otherwise a multiple of 8. Of a block type:
/// those of a block.
QSTORE_EXPORT unsigned DTypeBits(DType dtype);
/// Weights in a block of a block type, all of one row; 1 for other types. Shapes count weights.
QSTORE_EXPORT unsigned DTypeBlock(DType dtype);
/// The name, for example "BF16", "F8_E4M3", "F6_E2M3", "Q4_K".
QSTORE_EXPORT std::string_view DTypeName(DType dtype);
/// The type of that exact name, or nothing.
QSTORE_EXPORT std::optional<DType> DTypeFromName(std::string_view name);

}  // namespace qstore
