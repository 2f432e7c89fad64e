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

TEST(Json, OtherNumbersAreSpelledAsPythonWould) {
  class Numbers final : public JsonHandler {
   public:
    Status OnEvent(const JsonEvent& event) override {
      if (event.kind == JsonEvent::Kind::kNumber) text += std::string(event.text) + " ";
      return {};
    }
    std::string text;
  };
  Numbers numbers;
  ASSERT_TRUE(ParseJson("[-1, 6.0, 1.50, 0.00001, 5E5, -9223372036854775808, 1]", &numbers).ok());
  EXPECT_EQ(numbers.text, "-1 6.0 1.5 1e-05 500000.0 -9223372036854775808 ");
}

TEST(Json, AnyBytesBecomeText) {
  std::string out;
  AppendAnyText("\xC3\xA9\xFF\n\"", /*ascii=*/false, &out);
  AppendAnyText("\xC3\xA9\xFF", /*ascii=*/true, &out);
  EXPECT_EQ(out, "\"\xC3\xA9\xEF\xBF\xBD\\n\\\"\"\"\\u00e9\\ufffd\"");
}

}  // namespace
}  // namespace qstore::io
