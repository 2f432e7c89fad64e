// SPDX-License-Identifier: Apache-2.0
#include "analyze/results.h"

#include <gtest/gtest.h>

namespace qstore::analyze {
namespace {

LayerResult Sample(std::string name, double bits) {
  LayerResult layer;
  layer.name = std::move(name);
  layer.type = "mlp.up";
  layer.outs = 4;
  layer.ins = 5;
  layer.weights = 20;
  layer.seconds = 0.25;
  layer.variants = {{"16", "float", 16, 1, 3}, {"8", "gptq", 8, 2, 0}};
  layer.measures = {{"raw", "16", "", 320, ""},
                    {"raw", "8", "", 160, ""},
                    {"huffman", "8", "", 140, ""},
                    {"zstd-3", "16", "", 300, ""},
                    {"zstd-3", "8", "", 150, ""},
                    {"zipnn", "16", "", 200, ""},
                    {"prototype", "16", "8", bits, "7 groups"},
                    {"archive", "", "", 210, ""}};
  return layer;
}

TEST(LayerJson, ComesBack) {
  const LayerResult layer = Sample("a \"quoted\"\nname", 63.5);
  const auto back = LayerFromJson(LayerToJson(layer));
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->name, layer.name);
  EXPECT_EQ(back->weights, 20u);
  EXPECT_EQ(back->seconds, 0.25);
  ASSERT_EQ(back->variants.size(), 2u);
  EXPECT_EQ(back->variants[0].non_finite, 3u);
  EXPECT_EQ(back->variants[1].form, "gptq");
  ASSERT_EQ(back->measures.size(), layer.measures.size());
  EXPECT_EQ(back->measures[6].bits, 63.5);
  EXPECT_EQ(back->measures[6].given, "8");
  EXPECT_EQ(back->measures[6].detail, "7 groups");
  EXPECT_EQ(LayerToJson(*back), LayerToJson(layer));
}

TEST(LayerJson, KeepsAReason) {
  LayerResult layer;
  layer.name = "embed";
  layer.type = "embed";
  layer.not_analysed = "not quantized";
  const auto back = LayerFromJson(LayerToJson(layer));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(back->not_analysed, "not quantized");
  EXPECT_TRUE(back->measures.empty());
}

TEST(LayerJson, RefusesOtherTexts) {
  const std::string good = LayerToJson(Sample("a", 1));
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[1]"), good.substr(0, good.size() / 2),
        std::string("{\"layer\": 3, \"type\": \"a\"}")}) {
    EXPECT_EQ(LayerFromJson(text).status().code(), ErrorCode::kCorrupt) << text;
  }
}

double Plan(const Totals& totals, const std::string& name) {
  for (const AnalyzeTotal& plan : totals.plans) {
    if (plan.method == name) return plan.bits;
  }
  ADD_FAILURE() << "no plan " << name;
  return 0;
}

TEST(SumUp, AddsLayersAndPlans) {
  const LayerResult a = Sample("a", 60);
  const LayerResult b = Sample("b", 80);
  LayerResult refused;
  refused.not_analysed = "why";
  const Totals totals = SumUp("", {&a, &b, &refused}, {"16", "8"});
  EXPECT_EQ(totals.layers, 2u);
  EXPECT_EQ(totals.weights, 40u);
  EXPECT_EQ(totals.measures.size(), a.measures.size());
  EXPECT_EQ(totals.measures[6].bits, 140);
  EXPECT_DOUBLE_EQ(totals.measures[6].bits_per_weight(), 3.5);
  EXPECT_EQ(Plan(totals, "raw"), 960);
  EXPECT_EQ(Plan(totals, "zstd-3 each"), 900);
  EXPECT_EQ(Plan(totals, "zipnn + zstd-3"), 700);
  EXPECT_EQ(Plan(totals, "prototype chain"), 140 + 280);
  EXPECT_EQ(Plan(totals, "archive, side tensors included"), 420);
  // Without a Huffman figure of the 16-bit level there is no such plan.
  EXPECT_EQ(totals.plans.size(), 5u);
}

TEST(SumUp, ByTypeKeepsTypesApart) {
  std::vector<LayerResult> layers = {Sample("a", 60), Sample("b", 80), Sample("c", 1)};
  layers[2].type = "attn.q";
  const auto totals = SumUpByType(layers, {"16", "8"});
  ASSERT_EQ(totals.size(), 2u);
  EXPECT_EQ(totals[0].type, "attn.q");
  EXPECT_EQ(totals[0].layers, 1u);
  EXPECT_EQ(totals[1].layers, 2u);
}

}  // namespace
}  // namespace qstore::analyze
