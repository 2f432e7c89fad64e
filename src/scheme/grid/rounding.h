// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "codec/kernels/round_kernels.h"
#include "qstore/dtype.h"

// The rules by which tools make codes and scales of weights. docs/format-grids.md.

namespace qstore::scheme {

/// On disk. NOTE: never change a number.
enum class RoundingRule : uint8_t {
  kLlmInt8 = 1,      ///< LLM.int8() by (1 / absmax) * 127.
  kLlmInt8Quotient,  ///< LLM.int8() by 127 / absmax.
  kNf4,              ///< NF4 of bitsandbytes.
  kFp4,              ///< FP4 of bitsandbytes.
  kE4m3,             ///< FP8 of compressed-tensors.
  kE4m3Inverse,      ///< FP8 of transformers, with the inverse of the scale.
  kInt8,             ///< int8 of compressed-tensors.
  kInt4,             ///< int4 of compressed-tensors, symmetric.
  kInt4Zeros,        ///< int4 of compressed-tensors, with zero points.
  kNvfp4,            ///< NVFP4 of compressed-tensors.
  kMxfp4,            ///< MXFP4 of compressed-tensors.
  kInt8Whole,        ///< int8 of quanto.
  kInt8Wide,         ///< int8 of torchao.
  kE4m3Wide,         ///< FP8 of torchao.
  kE4m3Single,       ///< FP8 with scales that are F32 throughout.
  kE4m3Reciprocal,   ///< FP8 by the reciprocal of the scale in the weights' type.
  kNvfp4Product,     ///< NVFP4 of ModelOpt.
  kAffine2,          ///< Codes of MLX, of 2 to 8 bits.
  kAffine3,
  kAffine4,
  kAffine5,
  kAffine6,
  kAffine8,
  kMxfp8,          ///< MXFP8 of compressed-tensors.
  kInt8Zeros,      ///< int8 of compressed-tensors, with zero points in words.
  kInt8ByteZeros,  ///< The same, with zero points in bytes.
  kE4m3Mixed,      ///< FP8 of ModelOpt: F32 scales, but scaled weights of their own type.
  kEnd,
};

/// The numbers that codes stand for.
enum class GridKind : uint8_t {
  kIntegers,
  kE4m3,
  kE2m1,
  kTable,  ///< 16 numbers.
};

/// What is stored for a group of weights, and the factor that follows from it.
enum class ScaleKind : uint8_t {
  kAbsmax,          ///< F32 absmax; 1 / absmax.
  kAbsmaxTimes,     ///< F32 absmax; (1 / absmax) * top.
  kAbsmaxQuotient,  ///< F32 absmax; top / absmax.
  kQuotient,        ///< absmax / top in the weights' type; that.
  kInverse,         ///< F32 1 / ((1 / absmax) * top); its inverse.
  kRange,           ///< (greatest - least) / top in the weights' type, and a zero point; that.
  kGlobal,          ///< E4M3 global * (absmax / top); that / global.
  kPower,           ///< Exponent of a power of two, a byte; the power.
  kWide,            ///< F32 of absmax / top in the weights' type; that, or its reciprocal.
  kSingle,          ///< F32 absmax / top; that.
  kReciprocal,      ///< F32 of 1 / (top / absmax in the weights' type); 1 / that, in their type.
  kProduct,         ///< E4M3 absmax / (top * global); that * global.
  kAffine,          ///< (greatest - least) / top, and a bias, in the weights' type.
};

struct Rounding {
  GridKind grid;
  ScaleKind scale;
  bool multiply;                ///< By the factor; else it divides.
  bool rounds;                  ///< What is scaled, to the weights' type.
  bool through_fp16;            ///< Weights are rounded to F16 first.
  bool has_byte_zeros = false;  ///< Zero points lie in a byte each, else as codes in words.
  float top;                    ///< With kPower how many binades the largest number takes.
  int low;                      ///< Of integers.
  int high;
  unsigned bits;  ///< Of a code.
  /// Of a table: half-way points between its numbers, and their codes in the order of the numbers.
  const float* steps;
  const uint8_t* codes;  ///< Null when they are the places.
  const float* numbers;  ///< In their order.
};

/// Null when there is no such rule.
const Rounding* FindRounding(uint8_t number);
inline const Rounding& RoundingOf(RoundingRule rule) {
  return *FindRounding(static_cast<uint8_t>(rule));
}

/// How weights of that type are scaled.
codec::Scaling ScalingOf(const Rounding& rounding, DType weights);

/// The number of a pattern of a float type.
float NumberOf(DType type, uint32_t pattern);

/// A number rounded to a float type.
float RoundTo(DType type, float value);

/// What an E4M3 code stands for.
float NumberOfE4m3(uint32_t code);

/// What a code stands for, before it is scaled.
float NumberOfCode(const Rounding& rounding, uint8_t code);

/// Whether weights of that type have such scales.
bool Applies(const Rounding& rounding, DType weights);

/// Whether the rule has a zero point or a bias for each group.
inline bool HasZeros(const Rounding& rounding) {
  return rounding.scale == ScaleKind::kRange || rounding.scale == ScaleKind::kAffine;
}

/// The type of stored scales, and of biases.
DType ScaleType(const Rounding& rounding, DType weights);

/// What the weights of a group tell.
struct Extremes {
  uint32_t most = 0;  ///< Pattern of the largest magnitude.
  float least = 0;    ///< With zero points or biases only.
  float greatest = 0;
};

/// What is stored for a group.
struct Stored {
  uint32_t pattern = 0;  ///< Of the scale, in its type.
  float zero = 0;        ///< The zero point or bias.
  float exact = 0;       ///< With kAffine the scale before it is rounded.
};
Stored StoredFor(const Rounding& rounding, DType weights, const Extremes& extremes, float global);
/// The same for many groups.
void StoredForAll(const Rounding& rounding, DType weights, std::span<const Extremes> extremes,
                  float global, Stored* stored);

/// Factors and scales beyond these decide nothing.
inline constexpr float kLeastUsable = 0x1p-100f;
inline constexpr float kMostUsable = 0x1p100f;
inline bool IsUsable(float number) { return number >= kLeastUsable && number <= kMostUsable; }

/// A global scale as the rules take it: 1 where it is not from 2^-100 to 2^100.
float UsableGlobal(float global);

/// What an element is multiplied with, or divided by, in a group with that scale. A factor that is
/// not finite, or beyond 2^-100 and 2^100, is replaced by the one of these that gives small
/// numbers: so neither NaNs nor subnormals of the host's decide anything.
float FactorFor(const Rounding& rounding, DType weights, uint32_t pattern, float global);
/// The same where it follows from the weights of the group better than from a stored scale: with
/// kInverse and kAffine.
float ExactFactor(const Rounding& rounding, const Stored& stored, const Extremes& extremes);

/// Factors by the patterns of scales; those of a byte are computed once.
class FactorTable {
 public:
  FactorTable(const Rounding& rounding, DType weights, float global);
  float Of(uint32_t pattern) const {
    return is_of_bytes_ ? of_byte_[pattern & 0xff]
                        : FactorFor(rounding_, weights_, pattern, global_);
  }

 private:
  const Rounding& rounding_;
  DType weights_;
  float global_;
  bool is_of_bytes_;
  float of_byte_[256];
};

/// What the number of a code is multiplied with, in a group with that scale. Not for LLM.int8() and
/// rules with zero points. 0 where it is not from 2^-100 to 2^100.
float ValueFactor(const Rounding& rounding, DType weights, uint32_t pattern, float global);

}  // namespace qstore::scheme
