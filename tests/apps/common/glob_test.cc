// SPDX-License-Identifier: Apache-2.0
#include "common/glob.h"

#include <gtest/gtest.h>

#include <string_view>
#include <utility>

namespace qstore::apps {
namespace {

TEST(Glob, Matches) {
  const std::pair<const char*, const char*> kYes[] = {
      {"", ""},       {"*", ""},          {"*", "a.b"},  {"a*c", "abbc"},     {"a*c", "ac"},
      {"?.b", "a.b"}, {"*.b.*", "a.b.c"}, {"**x", "yx"}, {"a*b*c", "aXbYbZc"}};
  const std::pair<const char*, const char*> kNo[] = {
      {"", "a"}, {"a", ""}, {"a", "ab"}, {"?", ""}, {"a*c", "abd"}, {"*.b", "a.bc"}, {"a?c", "ac"}};
  for (const auto& [pattern, text] : kYes) EXPECT_TRUE(GlobMatches(pattern, text)) << pattern;
  for (const auto& [pattern, text] : kNo) EXPECT_FALSE(GlobMatches(pattern, text)) << pattern;
}

}  // namespace
}  // namespace qstore::apps
