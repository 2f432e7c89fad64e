// SPDX-License-Identifier: Apache-2.0
#include "container/gguf/gguf_types.h"

#include <algorithm>
#include <iterator>

namespace qstore::container {
namespace {

struct Row {
  uint32_t number;
  DType dtype;
};

// Numbers of `enum ggml_type` of ggml (MIT).
constexpr Row kRows[] = {
    {0, DType::kF32},     {1, DType::kF16},    {2, DType::kQ4_0},    {3, DType::kQ4_1},
    {6, DType::kQ5_0},    {7, DType::kQ5_1},   {8, DType::kQ8_0},    {9, DType::kQ8_1},
    {10, DType::kQ2K},    {11, DType::kQ3K},   {12, DType::kQ4K},    {13, DType::kQ5K},
    {14, DType::kQ6K},    {15, DType::kQ8K},   {16, DType::kIq2Xxs}, {17, DType::kIq2Xs},
    {18, DType::kIq3Xxs}, {19, DType::kIq1S},  {20, DType::kIq4Nl},  {21, DType::kIq3S},
    {22, DType::kIq2S},   {23, DType::kIq4Xs}, {24, DType::kI8},     {25, DType::kI16},
    {26, DType::kI32},    {27, DType::kI64},   {28, DType::kF64},    {29, DType::kIq1M},
    {30, DType::kBF16},   {34, DType::kTq1_0}, {35, DType::kTq2_0},  {39, DType::kMxfp4},
    {40, DType::kNvfp4},  {41, DType::kQ1_0},  {42, DType::kQ2_0},
};

}  // namespace

std::optional<DType> DTypeOfGgml(uint32_t number) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [number](const Row& row) { return row.number == number; });
  if (found == std::end(kRows)) return std::nullopt;
  return found->dtype;
}

std::optional<uint32_t> GgmlOfDType(DType dtype) {
  const auto* found = std::find_if(std::begin(kRows), std::end(kRows),
                                   [dtype](const Row& row) { return row.dtype == dtype; });
  if (found == std::end(kRows)) return std::nullopt;
  return found->number;
}

}  // namespace qstore::container
