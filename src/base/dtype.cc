// SPDX-License-Identifier: Apache-2.0
#include "qstore/dtype.h"

namespace qstore {
namespace {

struct Row {
  std::string_view name;
  unsigned bits;
  unsigned block = 1;
};

// Indexed by the value of DType.
constexpr Row kRows[kDTypeCount] = {
    {"BOOL", 8},
    {"F4", 4},
    {"F6_E2M3", 6},
    {"F6_E3M2", 6},
    {"U8", 8},
    {"I8", 8},
    {"F8_E5M2", 8},
    {"F8_E4M3", 8},
    {"F8_E8M0", 8},
    {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8},
    {"I16", 16},
    {"U16", 16},
    {"F16", 16},
    {"BF16", 16},
    {"I32", 32},
    {"U32", 32},
    {"F32", 32},
    {"C64", 64},
    {"F64", 64},
    {"I64", 64},
    {"U64", 64},
    // ggml, MIT: the bytes of a block, and the weights in it.
    {"Q4_0", 8 * 18, 32},
    {"Q4_1", 8 * 20, 32},
    {"Q5_0", 8 * 22, 32},
    {"Q5_1", 8 * 24, 32},
    {"Q8_0", 8 * 34, 32},
    {"Q8_1", 8 * 36, 32},
    {"Q2_K", 8 * 84, 256},
    {"Q3_K", 8 * 110, 256},
    {"Q4_K", 8 * 144, 256},
    {"Q5_K", 8 * 176, 256},
    {"Q6_K", 8 * 210, 256},
    {"Q8_K", 8 * 292, 256},
    {"IQ2_XXS", 8 * 66, 256},
    {"IQ2_XS", 8 * 74, 256},
    {"IQ2_S", 8 * 82, 256},
    {"IQ3_XXS", 8 * 98, 256},
    {"IQ3_S", 8 * 110, 256},
    {"IQ1_S", 8 * 50, 256},
    {"IQ1_M", 8 * 56, 256},
    {"IQ4_NL", 8 * 18, 32},
    {"IQ4_XS", 8 * 136, 256},
    {"TQ1_0", 8 * 54, 256},
    {"TQ2_0", 8 * 66, 256},
    {"MXFP4", 8 * 17, 32},
    {"NVFP4", 8 * 36, 64},
    {"Q1_0", 8 * 18, 128},
    {"Q2_0", 8 * 18, 64},
};

}  // namespace

unsigned DTypeBits(DType dtype) { return kRows[static_cast<unsigned>(dtype)].bits; }

unsigned DTypeBlock(DType dtype) { return kRows[static_cast<unsigned>(dtype)].block; }

std::string_view DTypeName(DType dtype) { return kRows[static_cast<unsigned>(dtype)].name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (unsigned i = 0; i < kDTypeCount; ++i) {
    if (kRows[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace qstore
