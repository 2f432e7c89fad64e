// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/targets.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <vector>

#include "qstore/blocks.h"
#include "qstore_apps/quantize_gguf.h"

namespace qstore::make {
namespace {

using Type = GgufFileType;

constexpr GgufTarget kTargets[] = {
    {"q4_0", "Q4_0", Type::kQ4_0, DType::kQ4_0},
    {"q4_1", "Q4_1", Type::kQ4_1, DType::kQ4_1},
    {"q5_0", "Q5_0", Type::kQ5_0, DType::kQ5_0},
    {"q5_1", "Q5_1", Type::kQ5_1, DType::kQ5_1},
    {"q8_0", "Q8_0", Type::kQ8_0, DType::kQ8_0},
    {"q2_k", "Q2_K", Type::kQ2K, DType::kQ2K},
    {"q2_k_s", "Q2_K_S", Type::kQ2KS, DType::kQ2K},
    {"q3_k", "Q3_K_M", Type::kQ3KM, DType::kQ3K},
    {"q3_k_s", "Q3_K_S", Type::kQ3KS, DType::kQ3K},
    {"q3_k_m", "Q3_K_M", Type::kQ3KM, DType::kQ3K},
    {"q3_k_l", "Q3_K_L", Type::kQ3KL, DType::kQ3K},
    {"q4_k", "Q4_K_M", Type::kQ4KM, DType::kQ4K},
    {"q4_k_s", "Q4_K_S", Type::kQ4KS, DType::kQ4K},
    {"q4_k_m", "Q4_K_M", Type::kQ4KM, DType::kQ4K},
    {"q5_k", "Q5_K_M", Type::kQ5KM, DType::kQ5K},
    {"q5_k_s", "Q5_K_S", Type::kQ5KS, DType::kQ5K},
    {"q5_k_m", "Q5_K_M", Type::kQ5KM, DType::kQ5K},
    {"q6_k", "Q6_K", Type::kQ6K, DType::kQ6K},
    {"iq4_nl", "IQ4_NL", Type::kIq4Nl, DType::kIq4Nl},
    {"iq4_xs", "IQ4_XS", Type::kIq4Xs, DType::kIq4Xs},
    {"mxfp4_moe", "MXFP4_MOE", Type::kMxfp4Moe, DType::kMxfp4},
    {"tq1_0", "TQ1_0", Type::kTq1_0, DType::kTq1_0},
    {"tq2_0", "TQ2_0", Type::kTq2_0, DType::kTq2_0},
    {"f16", "F16", Type::kF16, DType::kF16},
    {"bf16", "BF16", Type::kBF16, DType::kBF16},
    {"f32", "F32", Type::kF32, DType::kF32},
};

// Further names of precisions that a file may end with.
constexpr std::string_view kOtherPrecisions[] = {"fp16", "fp32", "mxfp4"};

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }
char Upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - ('a' - 'A')) : c; }

std::string InLower(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), Lower);
  return lower;
}

bool IsSeparator(char c) { return c == '-' || c == '.' || c == '_'; }

/// Where the precision begins that the text, in lower case, ends with; its end if with none.
size_t PrecisionBegin(std::string_view text) {
  size_t begin = text.size();
  const auto look = [&](std::string_view name) {
    if (!text.ends_with(name)) return;
    const size_t at = text.size() - name.size();
    if (at == 0 || IsSeparator(text[at - 1])) begin = std::min(begin, at);
  };
  for (const GgufTarget& target : kTargets) look(target.lower);
  for (const std::string_view name : kOtherPrecisions) look(name);
  return begin;
}

}  // namespace

std::span<const GgufTarget> GgufTargets() { return kTargets; }

const GgufTarget* FindGgufTarget(std::string_view name) {
  const std::string lower = InLower(name);
  const auto* found = std::find_if(std::begin(kTargets), std::end(kTargets),
                                   [&](const GgufTarget& target) { return target.lower == lower; });
  return found == std::end(kTargets) ? nullptr : found;
}

std::string GgufStemFor(std::string_view stem, const GgufTarget& target) {
  const size_t begin = PrecisionBegin(InLower(stem));
  std::string made(stem.substr(0, begin));
  if (begin == stem.size() && !stem.empty()) made += '-';
  return made.append(target.name);
}

std::vector<std::string_view> GgufTargetNames() {
  std::vector<std::string_view> names;
  for (const GgufTarget& target : kTargets) names.push_back(target.lower);
  return names;
}

bool IsGgufTarget(std::string_view name) { return FindGgufTarget(name) != nullptr; }

std::optional<DType> GgufTypeOf(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(), Upper);
  const auto type = DTypeFromName(upper);
  return type && BlockMaker::Makes(*type) ? type : std::nullopt;
}

}  // namespace qstore::make
