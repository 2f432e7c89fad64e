// SPDX-License-Identifier: Apache-2.0
#include "format/names.h"

#include <gtest/gtest.h>

#include <string>

#include "format/limits.h"

namespace qstore::format {
namespace {

TEST(Names, PathsAreOrderedSoThatConflictsAreNeighbours) {
  EXPECT_TRUE(PathLess("a", "a/b"));
  EXPECT_TRUE(PathLess("a/b", "a-b"));
  EXPECT_TRUE(PathLess("a/b/c", "a/b-c"));
  EXPECT_FALSE(PathLess("a", "a"));
  EXPECT_TRUE(PathLess("a\x7f", "a\x80"));
  EXPECT_TRUE(LiesBelow("a/b", "a"));
  EXPECT_FALSE(LiesBelow("ab", "a"));
  EXPECT_FALSE(LiesBelow("a", "a"));
}

TEST(Names, VariantNames) {
  for (const char* good : {"bf16", "int8", "Q4_K.M", "8", "a+b-c"}) {
    EXPECT_TRUE(CheckVariantName(good).ok()) << good;
  }
  for (const char* bad : {"", ".", "..", "-o", "a b", "a/b", "a=b", "\xc3\xa4"}) {
    EXPECT_EQ(CheckVariantName(bad).code(), ErrorCode::kInvalidArgument) << bad;
  }
  EXPECT_FALSE(CheckVariantName(std::string(256, 'a')).ok());
}

TEST(Names, Paths) {
  for (const char* good : {"a", "a/b.c", "a..b", "..a", "\xc3\xa4/x y", "a:b"}) {
    EXPECT_TRUE(CheckPath(good).ok()) << good;
  }
  for (const char* bad : {"", "/a", "a//b", "a/", ".", "..", "a/..", "../a", "a/./b", "a\nb"}) {
    EXPECT_EQ(CheckPath(bad).code(), ErrorCode::kInvalidArgument) << bad;
  }
  EXPECT_TRUE(CheckPath(std::string(kMaxPathBytes, 'a')).ok());
  EXPECT_FALSE(CheckPath(std::string(kMaxPathBytes + 1, 'a')).ok());
  EXPECT_FALSE(CheckPath(std::string_view("a\0b", 3)).ok());
}

}  // namespace
}  // namespace qstore::format
