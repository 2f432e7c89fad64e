// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_plain.h"

#include <gtest/gtest.h>

#include <random>

#include "io/json.h"
#include "io/safetensors_parser.h"

namespace qstore::io {
namespace {

constexpr size_t kMostRank = 3;

struct Taken {
  std::string text;
  SafetensorsMetadata metadata;
  SafetensorsEntryTaker take = [this](SafetensorsTensor* entry) {
    text += entry->name + "/" + std::string(DTypeName(entry->dtype));
    for (const uint64_t dim : entry->shape) text += " " + std::to_string(dim);
    text += "/" + std::to_string(entry->begin) + "-" + std::to_string(entry->end) + ";";
    return Status();
  };
};

// Whether the header is plain. Then it says what it says to the general parser.
bool IsPlain(const std::string& json) {
  Taken plain;
  const auto is_plain = ReadPlainSafetensors(json, kMostRank, plain.take, &plain.metadata);
  EXPECT_TRUE(is_plain.ok()) << json;
  if (!*is_plain) return false;
  Taken general;
  SafetensorsParser parser(general.take, kMostRank, &general.metadata);
  const Status status = ParseJson(json, &parser);
  EXPECT_TRUE(status.ok()) << json << "\n" << status.ToString();
  EXPECT_EQ(plain.text, general.text) << json;
  EXPECT_EQ(plain.metadata, general.metadata) << json;
  return true;
}

const std::string kHeader =
    R"({"__metadata__":{"format":"pt","":""},"a.b":{"dtype":"BF16","shape":[2,3],)"
    R"("data_offsets":[0,12]},"c":{"dtype":"F32","shape":[],"data_offsets":[12,16]},)"
    R"("a.b" : { "dtype" : "I8" , "shape" : [ 1 , 0 ] , "data_offsets" : [ 16 , 16 ] } }   )";

TEST(SafetensorsPlain, WhatWritersWriteIsPlain) {
  EXPECT_TRUE(IsPlain(kHeader));
  for (const char* json : {"{}", " { } \n", R"({"__metadata__":{}})"}) EXPECT_TRUE(IsPlain(json));
}

TEST(SafetensorsPlain, WhatIsUnusualOrWrongIsNot) {
  const std::string entry = R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})";
  ASSERT_TRUE(IsPlain(entry));
  const auto with = [&](std::string_view part, std::string_view other) {
    std::string json = entry;
    return json.replace(json.find(part), part.size(), other);
  };
  for (const std::string& json : {with("\"a\"", "\"\\u0061\""),
                                  with("\"a\"", "\"\xC3\xA9\""),
                                  with("\"a\"", "\"\n\""),
                                  with("U8", "Q4_0"),
                                  with("U8", "X"),
                                  with("[1]", "[01]"),
                                  with("[1]", "[1.0]"),
                                  with("[1]", "[-1]"),
                                  with("[1]", "[1,]"),
                                  with("[1]", "[1,1,1,1]"),
                                  with("[1]", "[ 1 1]"),
                                  with("[1]", "[18446744073709551615]"),
                                  with("[0,1]", "[0]"),
                                  with("[0,1]", "[0,1,2]"),
                                  with("}}", "}}x"),
                                  with("}}", "},}"),
                                  with("}}", "}"),
                                  with("dtype", "shape"),
                                  with("}}", ",\"x\":1}}"),
                                  with("\"a\":", "\"__metadata__\":"),
                                  std::string(R"({"__metadata__":{},"__metadata__":{}})"),
                                  std::string("[]"),
                                  std::string(),
                                  entry + std::string(1, '\0')}) {
    EXPECT_FALSE(IsPlain(json)) << json;
  }
}

TEST(SafetensorsPlain, WhateverPassesMeansTheSameToTheGeneralParser) {
  std::mt19937 random(7);
  const std::string_view bytes = "{}[]:,\"\\019-. \nae_\x01\x7f\xC3";
  size_t plain = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string json = kHeader;
    for (unsigned edits = 1 + random() % 2; edits > 0; --edits) {
      const size_t at = random() % json.size();
      const char byte = bytes[random() % bytes.size()];
      switch (random() % 3) {
        case 0:
          json[at] = byte;
          break;
        case 1:
          json.insert(at, 1, byte);
          break;
        default:
          json.erase(at, 1 + random() % 3);
      }
    }
    plain += IsPlain(json) ? 1 : 0;
  }
  EXPECT_GT(plain, 1000u);
}

TEST(SafetensorsPlain, ErrorsOfTheTakerEndIt) {
  size_t entries = 0;
  const auto status = ReadPlainSafetensors(
      kHeader, kMostRank,
      [&](SafetensorsTensor*) {
        ++entries;
        return NotFound("enough");
      },
      nullptr);
  EXPECT_EQ(status.status().code(), ErrorCode::kNotFound);
  EXPECT_EQ(entries, 1u);
}

}  // namespace
}  // namespace qstore::io
