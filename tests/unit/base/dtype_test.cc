// SPDX-License-Identifier: Apache-2.0
#include "qstore/dtype.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace qstore {
namespace {

TEST(DType, EachHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (unsigned i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_TRUE(names.insert(DTypeName(dtype)).second) << DTypeName(dtype);
    EXPECT_EQ(DTypeFromName(DTypeName(dtype)), dtype);
  }
  for (const char* unknown : {"", "bf16", "BF17", "Q4_0 "}) {
    EXPECT_EQ(DTypeFromName(unknown), std::nullopt) << unknown;
  }
}

TEST(DType, BlocksComeBehindTheTypesOfSafetensors) {
  for (unsigned i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    EXPECT_EQ(DTypeBlock(dtype) > 1, i >= kSafetensorsDTypeCount) << DTypeName(dtype);
    // Only F4 and F6 have elements that are no whole bytes.
    EXPECT_EQ(DTypeBits(dtype) % 8 != 0, i >= 1 && i <= 3) << DTypeName(dtype);
  }
}

TEST(DType, SizesAreThoseOfTheTools) {
  EXPECT_EQ(DTypeBits(DType::kBF16), 16U);
  EXPECT_EQ(DTypeBits(DType::kF6E2M3), 6U);
  EXPECT_EQ(DTypeBits(DType::kQ4K), 8U * 144);
  EXPECT_EQ(DTypeBlock(DType::kQ4K), 256U);
  EXPECT_EQ(DTypeBlock(DType::kNvfp4), 64U);
}

}  // namespace
}  // namespace qstore
