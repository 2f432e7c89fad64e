// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "qstore/dtype.h"

namespace qstore::make {

/// Numbers that `general.file_type` has.
enum class GgufFileType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ8_0 = 7,
  kQ5_0 = 8,
  kQ5_1 = 9,
  kQ2K = 10,
  kQ3KS = 11,
  kQ3KM = 12,
  kQ3KL = 13,
  kQ4KS = 14,
  kQ4KM = 15,
  kQ5KS = 16,
  kQ5KM = 17,
  kQ6K = 18,
  kQ2KS = 21,
  kIq4Nl = 25,
  kIq4Xs = 30,
  kBF16 = 32,
  kTq1_0 = 36,
  kTq2_0 = 37,
  kMxfp4Moe = 38,
};

/// A precision that llama-quantize makes.
struct GgufTarget {
  std::string_view lower;  ///< The name in lower case.
  std::string_view name;   ///< That of the file type, in upper case; of an alias, what it means.
  GgufFileType file_type = GgufFileType::kF32;
  DType dtype = DType::kF32;  ///< Of tensors that the mixture says nothing of.
};

std::span<const GgufTarget> GgufTargets();
/// The target of that name in any letter case, or null.
const GgufTarget* FindGgufTarget(std::string_view name);
/// `stem` with the name of a target in place of the precision at its end, or behind it.
std::string GgufStemFor(std::string_view stem, const GgufTarget& target);

}  // namespace qstore::make
