// SPDX-License-Identifier: Apache-2.0
#include "qstore/dtype.h"

namespace qstore {
namespace {

struct Row {
  std::string_view name;
  unsigned bits;
};

// Indexed by the value of DType.
constexpr Row kRows[kDTypeCount] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
};

}  // namespace

unsigned DTypeBits(DType dtype) { return kRows[static_cast<unsigned>(dtype)].bits; }

std::string_view DTypeName(DType dtype) { return kRows[static_cast<unsigned>(dtype)].name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (unsigned i = 0; i < kDTypeCount; ++i) {
    if (kRows[i].name == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

}  // namespace qstore
