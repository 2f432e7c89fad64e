// SPDX-License-Identifier: Apache-2.0
#include "io/json.h"

#include <gtest/gtest.h>

namespace qstore::io {
namespace {

// Writes events as text: n(ull), t(rue), f(alse), unsigned numbers, #, "strings", key:, brackets.
class Recorder final : public JsonHandler {
 public:
  Status OnEvent(const JsonEvent& event) override {
    switch (event.kind) {
      case JsonEvent::Kind::kNull:
        text += "n ";
        break;
      case JsonEvent::Kind::kBool:
        text += event.number != 0 ? "t " : "f ";
        break;
      case JsonEvent::Kind::kUnsigned:
        text += std::to_string(event.number) + " ";
        break;
      case JsonEvent::Kind::kNumber:
        text += "# ";
        break;
      case JsonEvent::Kind::kString:
        text += "\"" + std::string(event.text) + "\" ";
        break;
      case JsonEvent::Kind::kKey:
        text += std::string(event.text) + ": ";
        break;
      case JsonEvent::Kind::kBeginObject:
        text += "{ ";
        break;
      case JsonEvent::Kind::kEndObject:
        text += "} ";
        break;
      case JsonEvent::Kind::kBeginArray:
        text += "[ ";
        break;
      case JsonEvent::Kind::kEndArray:
        text += "] ";
        break;
    }
    return text.find("stop") == std::string::npos ? Status() : NotFound("stopped");
  }
  std::string text;
};

TEST(Json, EventsInOrder) {
  Recorder recorder;
  ASSERT_TRUE(ParseJson(R"( {"a":[1,-1,1.0,18446744073709551615,18446744073709551616,null,true,)"
                        R"(false],"a":{"b":"c\u00e9\n"}, "":[]} )",
                        &recorder)
                  .ok());
  EXPECT_EQ(recorder.text,
            "{ a: [ 1 # # 18446744073709551615 # n t f ] a: { b: \"c\xC3\xA9\n\" } : [ ] } ");
}

TEST(Json, ErrorsGiveTheOffset) {
  Recorder recorder;
  const Status status = ParseJson(R"({"a":1,,})", &recorder);
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  EXPECT_NE(status.message().find("byte 8"), std::string::npos) << status.ToString();
}

TEST(Json, TheHandlersErrorEndsTheReading) {
  Recorder recorder;
  const Status status = ParseJson(R"(["stop","never"])", &recorder);
  EXPECT_EQ(status.code(), ErrorCode::kNotFound);
  EXPECT_EQ(recorder.text, "[ \"stop\" ");
}

TEST(Json, StringsAreEscapedOnlyWhereTheyMust) {
  std::string out;
  AppendJsonString(std::string_view("a\"\\\b\f\n\r\t\x01\x1f\x7f\0\xC3\xA9/", 15), &out);
  EXPECT_EQ(out, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\\u0000\xC3\xA9/\"");
}

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
