// SPDX-License-Identifier: Apache-2.0
#include "io/json_document.h"

#include <gtest/gtest.h>

namespace qstore::io {
namespace {

TEST(JsonDocument, KeepsOrderAndNumbers) {
  const std::string text =
      "{\n  \"z\": 1e-05,\n  \"a\": 500000.0,\n  \"n\": [\n    -1,\n    6.0,\n    null\n  ],\n"
      "  \"s\": \"\\u00e9\\n\"\n}\n";
  auto document = JsonDocument::Parse(text);
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->Dump(), text);
}

TEST(JsonDocument, NewMembersGoWhereTheAlphabetPutsThem) {
  auto sorted = JsonDocument::Parse(R"({"a":1,"c":2})");
  ASSERT_TRUE(sorted.ok());
  sorted->Set("b", "[true]");
  sorted->Set("d", "\"x\"");
  sorted->Set("a", "null");
  EXPECT_EQ(sorted->Dump(),
            "{\n  \"a\": null,\n  \"b\": [\n    true\n  ],\n  \"c\": 2,\n"
            "  \"d\": \"x\"\n}\n");
  auto unsorted = JsonDocument::Parse(R"({"c":1,"a":2})");
  ASSERT_TRUE(unsorted.ok());
  unsorted->Set("b", "3");
  EXPECT_EQ(unsorted->Dump(), "{\n  \"c\": 1,\n  \"a\": 2,\n  \"b\": 3\n}\n");
}

TEST(JsonDocument, LooksUpAndReplaces) {
  auto document =
      JsonDocument::Parse(R"({"k":"a","n":null,"i":1,"in":[{"k":"b"},{"k":null,"x":{"k":3}}]})");
  ASSERT_TRUE(document.ok());
  EXPECT_EQ(document->GetString("k"), "a");
  EXPECT_EQ(document->GetString("i"), std::nullopt);
  EXPECT_EQ(document->GetString("absent"), std::nullopt);
  EXPECT_TRUE(document->Has("i"));
  EXPECT_FALSE(document->Has("n"));
  EXPECT_FALSE(document->Has("absent"));
  EXPECT_EQ(document->ReplaceStrings("k", "new"), 3u);
  EXPECT_EQ(document->GetString("k"), "new");
  EXPECT_NE(document->Dump().find("\"k\": 3"), std::string::npos);
}

TEST(JsonDocument, OnlyObjects) {
  for (const char* text : {"", "[]", "1", "{", "{} {}", "\xEF\xBB\xBF{}"}) {
    EXPECT_EQ(JsonDocument::Parse(text).status().code(), ErrorCode::kCorrupt) << text;
  }
}

}  // namespace
}  // namespace qstore::io
