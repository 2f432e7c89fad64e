// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors_index.h"

#include <gtest/gtest.h>

namespace qstore::io {
namespace {

using Map = std::vector<std::pair<std::string, std::string>>;

TEST(SafetensorsIndex, ReadsTheWeightMapOnly) {
  auto index = ParseSafetensorsIndex(
      R"({"x":[{"weight_map":1}],"weight_map":{"b":"2","a":"1"},"metadata":{"total_size":"7"}})");
  ASSERT_TRUE(index.ok()) << index.status().ToString();
  EXPECT_EQ(index->weight_map, (Map{{"b", "2"}, {"a", "1"}}));
}

TEST(SafetensorsIndex, RefusesOtherShapes) {
  for (const char* text :
       {"", "[]", "1", "\"weight_map\"", "{}", R"({"weight_map":1})", R"({"weight_map":["a"]})",
        R"({"weight_map":{"a":1}})", R"({"weight_map":{"a":{}}})", R"({"weight_map":{"a":["b"]}})",
        R"({"metadata":{"weight_map":{"a":"b"}}})",
        R"({"weight_map":{"a":"b"}})"
        "x"}) {
    EXPECT_EQ(ParseSafetensorsIndex(text).status().code(), ErrorCode::kCorrupt) << text;
  }
}

TEST(SafetensorsIndex, WritesWhatTheHubsToolsWrite) {
  EXPECT_EQ(WriteSafetensorsIndex({{{"b\"", "2"}, {"a", "1"}}}, 12),
            "{\n  \"metadata\": {\n    \"total_size\": 12\n  },\n  \"weight_map\": {\n"
            "    \"a\": \"1\",\n    \"b\\\"\": \"2\"\n  }\n}\n");
  auto back = ParseSafetensorsIndex(WriteSafetensorsIndex({}, 0));
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(back->weight_map.empty());
}

TEST(SafetensorsIndex, Names) {
  EXPECT_TRUE(IsSafetensorsIndexName("model.safetensors.index.json"));
  EXPECT_TRUE(IsSafetensorsIndexName("diffusion_pytorch_model.safetensors.index.fp16.json"));
  EXPECT_FALSE(IsSafetensorsIndexName("pytorch_model.bin.index.json"));
  EXPECT_FALSE(IsSafetensorsIndexName("model.safetensors"));
  EXPECT_FALSE(IsSafetensorsIndexName("config.json"));
}

TEST(SafetensorsIndex, ShardsAndIndexAreOneSet) {
  EXPECT_EQ(WeightSetOf("model.safetensors"), "model");
  EXPECT_EQ(WeightSetOf("model-00001-of-00002.safetensors"), "model");
  EXPECT_EQ(WeightSetOf("model.safetensors.index.json"), "model");
  EXPECT_EQ(WeightSetOf("model.fp16-00001-of-00002.safetensors"), "model.fp16");
  EXPECT_EQ(WeightSetOf("model.safetensors.index.fp16.json"), "model.fp16");
  EXPECT_EQ(WeightSetOf("layer-3.safetensors"), "layer-3");
  EXPECT_EQ(WeightSetOf("a-of-3.safetensors"), "a-of-3");
  EXPECT_EQ(WeightSetOf("a-1-of-.safetensors"), "a-1-of-");
  for (const char* other : {"", ".safetensors", "-1-of-2.safetensors", "config.json", "model.bin",
                            "pytorch_model.bin.index.json", "model.safetensors.bak"}) {
    EXPECT_EQ(WeightSetOf(other), "") << other;
  }
}

TEST(SafetensorsIndex, OfSeveralEntriesTheLastOneStaysTheLast) {
  const auto index = ParseSafetensorsIndex(R"({"weight_map":{"x":"b","a":"c","x":"a"}})");
  ASSERT_TRUE(index.ok());
  const auto again = ParseSafetensorsIndex(WriteSafetensorsIndex(*index, 1));
  ASSERT_TRUE(again.ok());
  ASSERT_EQ(again->weight_map.size(), 3u);
  EXPECT_EQ(again->weight_map[2], (std::pair<std::string, std::string>("x", "a")));
}

}  // namespace
}  // namespace qstore::io
