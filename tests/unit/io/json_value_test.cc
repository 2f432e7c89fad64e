// SPDX-License-Identifier: Apache-2.0
#include "io/json_value.h"

#include <gtest/gtest.h>

#include <cmath>

#include "io/json.h"

namespace qstore::io {
namespace {

using Kind = JsonValue::Kind;

TEST(JsonValue, IsWrittenAsPythonWould) {
  JsonValue list = JsonValue::Array();
  list.Append("text");
  list.Append(JsonValue::Object({}));
  list.Append(JsonValue::ArrayOf<std::string>({}));
  JsonValue value = JsonValue::Object({{"i", -3}, {"u", UINT64_MAX}, {"d", 0.1}, {"b", true}});
  value.Add("none", JsonValue());
  value.Add("nan", std::nan(""));
  value.Add("list", std::move(list));
  EXPECT_EQ(value.Dump(),
            "{\n  \"i\": -3,\n  \"u\": 18446744073709551615,\n  \"d\": 0.1,\n  \"b\": true,\n"
            "  \"none\": null,\n  \"nan\": null,\n  \"list\": [\n    \"text\",\n    {},\n    []\n"
            "  ]\n}");
}

TEST(JsonValue, ComesBackAsItWasWritten) {
  const std::string text =
      "{\n  \"a\": [\n    1,\n    -1,\n    1.5,\n    null,\n    false,\n    \"\\u00e9\"\n  ],\n"
      "  \"\": {\n    \"a\": {}\n  }\n}";
  const auto value = JsonValue::Parse(text);
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(value->Dump(/*ascii=*/true), text);
  EXPECT_EQ(value->Find("a")->kind(), Kind::kArray);
  EXPECT_EQ(value->Find("a")->members()[2].value.text(), "1.5");
  EXPECT_EQ(value->Find("a")->Find("a"), nullptr);
  EXPECT_EQ(value->Find("b"), nullptr);
}

TEST(JsonValue, OfEqualKeysTheLastCounts) {
  const auto value = JsonValue::Parse(R"({"a": {"x": [1, 2]}, "b": 1, "a": {"y": 3}})");
  ASSERT_TRUE(value.ok());
  ASSERT_EQ(value->members().size(), 2u);
  EXPECT_EQ(value->members()[0].name, "a");
  EXPECT_EQ(value->members()[0].value.Find("x"), nullptr);
  EXPECT_EQ(value->members()[0].value.Find("y")->text(), "3");
}

TEST(JsonValue, OnlyValidTexts) {
  for (const char* text : {"", "[", "{\"a\"}", "[] []", "\"\xFF\""}) {
    EXPECT_EQ(JsonValue::Parse(text).status().code(), ErrorCode::kCorrupt) << text;
  }
  const std::string deep(kMaxJsonDepth, '[');
  EXPECT_TRUE(JsonValue::Parse(deep + std::string(kMaxJsonDepth, ']')).ok());
  EXPECT_FALSE(JsonValue::Parse("[" + deep + std::string(kMaxJsonDepth + 1, ']')).ok());
}

}  // namespace
}  // namespace qstore::io
