// SPDX-License-Identifier: Apache-2.0
// Quantize to the formats of <qstore/round.h>. That the bytes are those of the tools is tested with
// these, in tests/python/test_made_copies.py.
#include <gtest/gtest.h>

#include <cmath>

#include "apps/make/quantize_models.h"
#include "base/float_convert.h"
#include "qstore/round.h"
#include "qstore_apps/targets.h"

namespace qstore::make {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

QuantizeOptions ToFormat(std::string_view format) {
  QuantizeOptions options = To(QuantizeTarget::kFormat);
  options.format = format;
  return options;
}

Content Bf16(std::vector<uint64_t> shape, unsigned seed) {
  std::vector<uint16_t> patterns;
  uint64_t count = 1;
  for (const uint64_t side : shape) count *= side;
  uint32_t state = seed;
  for (uint64_t i = 0; i < count; ++i) {
    state = state * 1664525 + 1013904223;
    patterns.push_back(
        base::FloatToBf16(static_cast<float>(static_cast<int32_t>(state)) / 0x1p36f));
  }
  return Of(DType::kBF16, std::move(shape), patterns);
}

Model Layers() {
  return {{"model.embed_tokens.weight", Bf16({2, 128}, 1)},
          {"model.layers.0.q_proj.weight", Bf16({256, 128}, 2)},
          {"model.layers.0.q_proj.bias", Bf16({256}, 3)},
          {"model.norm.weight", Bf16({128}, 4)},
          {"lm_head.weight", Bf16({2, 128}, 5)}};
}

// A tensor of what a rounder makes of all weights at once.
std::map<std::string, Content> Rounded(std::string_view format, const std::string& name,
                                       const Content& weights) {
  const auto rounder = Rounder::Create(format, name, weights.dtype, weights.shape);
  EXPECT_TRUE(rounder.ok()) << rounder.status().ToString();
  const auto bytes = std::as_bytes(std::span(weights.bytes));
  const auto peak = rounder->PeakOf(bytes);
  const auto parts = rounder->Round(0, bytes, *peak);
  EXPECT_TRUE(parts.ok()) << parts.status().ToString();
  std::map<std::string, Content> made;
  for (const RoundedPart& part : *parts) {
    const RoundedTensor& tensor = rounder->tensors()[part.tensor];
    const auto* text = reinterpret_cast<const char*>(part.bytes.data());
    made[tensor.name] = {tensor.dtype, tensor.shape, std::string(text, part.bytes.size())};
  }
  return made;
}

TEST(QuantizeFormats, LayersAreRoundedAndTheRestIsKept) {
  const Model model = Layers();
  const std::string name = "model.layers.0.q_proj.weight";
  for (const std::string_view format : RoundFormats()) {
    TempDir dir;
    WriteModel(dir / "in/model.safetensors", model);
    const auto report = Quantize(dir / "in", dir / "out", ToFormat(format));
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->quantized, std::vector<std::string>{name});
    EXPECT_EQ(report->kept, 4u);
    EXPECT_EQ(report->output_bytes, fs::file_size(dir / "out/model.safetensors"));
    Model expected = model;
    expected.erase(name);
    for (auto& [made, content] : Rounded(format, name, model.at(name))) expected[made] = content;
    EXPECT_EQ(ReadModel(dir / "out/model.safetensors"), expected) << format;
  }
}

// Rows of several tasks give what one call over all of them gives.
TEST(QuantizeFormats, LargeMatricesAreTheSameByEveryNumberOfThreads) {
  TempDir dir;
  const Content weights = Bf16({5120, 1024}, 7);
  WriteModel(dir / "in/a.safetensors", {{"a.weight", weights}});
  for (const std::string_view format : RoundFormats()) {
    const Model expected = Rounded(format, "a.weight", weights);
    for (const unsigned threads : {1u, 3u}) {
      QuantizeOptions options = ToFormat(format);
      options.threads = threads;
      options.overwrite = true;
      const auto report = Quantize(dir / "in", dir / "out", options);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_TRUE(ReadModel(dir / "out/a.safetensors") == expected) << format;
    }
  }
}

TEST(QuantizeFormats, ConfigsSayHowTheToolsReadThem) {
  const std::map<std::string_view, std::vector<std::string>> kExpected = {
      {"fp8-block", {R"("block_structure": [)", R"("format": "float-quantized")"}},
      {"fp8-channel", {R"("strategy": "channel")", R"("strategy": "token")"}},
      {"fp8-tensor", {R"("strategy": "tensor")", R"("quant_method": "compressed-tensors")"}},
      {"int8", {R"("format": "int-quantized")", R"("type": "int")"}},
      {"nvfp4", {R"("format": "nvfp4-pack-quantized")", R"("group_size": 16)"}},
      {"mxfp4", {R"("format": "mxfp4-pack-quantized")", R"("group_size": 32)"}},
      {"int4", {R"("format": "pack-quantized")", R"("group_size": 128)"}},
      {"fp8-fine-grained", {R"("quant_method": "fp8")", R"("weight_block_size": [)"}},
      {"nf4", {R"("load_in_4bit": true)", R"("bnb_4bit_quant_type": "nf4")"}}};
  for (const auto& [format, texts] : kExpected) {
    TempDir dir;
    WriteModel(dir / "in/model.safetensors", Layers());
    WriteFile(dir / "in/config.json", R"({"vocab": 5})");
    ASSERT_TRUE(Quantize(dir / "in", dir / "out", ToFormat(format)).ok());
    const std::string config = ReadFile(dir / "out/config.json");
    for (const std::string& text : texts) {
      EXPECT_NE(config.find(text), std::string::npos) << format << config;
    }
    EXPECT_EQ(config.find("embed_tokens"), std::string::npos) << format << config;
    EXPECT_EQ(config.find("q_proj"), std::string::npos) << format << config;
  }
}

TEST(QuantizeFormats, ConfigsNameLayersThatAreLeftOut) {
  Model model = Layers();
  model["model.layers.0.k_proj.weight"] = Bf16({3, 128}, 6);
  for (const std::string_view format : RoundFormats()) {
    TempDir dir;
    WriteModel(dir / "in/model.safetensors", model);
    WriteFile(dir / "in/config.json", "{}");
    QuantizeOptions options = ToFormat(format);
    options.exclude = {"*k_proj*"};
    const auto report = Quantize(dir / "in", dir / "out", options);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    const std::string config = ReadFile(dir / "out/config.json");
    for (const char* module : {"\"lm_head\"", "\"model.layers.0.k_proj\""}) {
      EXPECT_NE(config.find(module), std::string::npos) << format << config;
    }
    EXPECT_EQ(config.find("q_proj"), std::string::npos) << format << config;
  }
}

TEST(QuantizeFormats, RestIsCastWhenAsked) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", Layers());
  QuantizeOptions options = ToFormat("fp8-block");
  options.rest = QuantizeRest::kF16;
  const auto report = Quantize(dir / "in", dir / "out", options);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->cast.size(), 4u);
  const Model out = ReadModel(dir / "out/model.safetensors");
  EXPECT_EQ(out.at("model.norm.weight").dtype, DType::kF16);
  EXPECT_EQ(out.at("model.layers.0.q_proj.weight_scale").dtype, DType::kBF16);
}

void ExpectRefused(const Model& model, std::string_view format, const std::string& named) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", model);
  const auto report = Quantize(dir / "in", dir / "out", ToFormat(format));
  ASSERT_FALSE(report.ok()) << format;
  EXPECT_EQ(report.status().code(), ErrorCode::kInvalidArgument) << report.status().ToString();
  for (const std::string& text : {named, std::string("model.safetensors"), std::string("a.q")}) {
    EXPECT_NE(report.status().message().find(text), std::string::npos)
        << report.status().ToString();
  }
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(QuantizeFormats, WhatDoesNotFitIsRefused) {
  const Model narrow = {{"a.q.weight", Bf16({4, 40}, 1)}};
  ExpectRefused(narrow, "nvfp4", "40 columns are no multiple of 16");
  ExpectRefused(narrow, "fp8-fine-grained", "4 rows are no multiple of 128");
  ExpectRefused({{"a.q.weight", Of<double>(DType::kF64, {1, 2}, {1, 2})}}, "int8",
                "not made of F64");
  ExpectRefused({{"a.q.weight", F32({1, 32}, std::vector<float>(32, 1))}}, "mxfp4",
                "not made of F32");
  ExpectRefused({{"a.q.weight", F32({1, 2}, {1, NAN})}}, "fp8-channel", "holds NaN");
  ExpectRefused({{"a.q.weight", F32({1, 2}, {1, INFINITY})}}, "fp8-tensor", "holds infinity");
  ExpectRefused({{"a.q.weight", Bf16({4, 40}, 1)}, {"a.q.weight_scale", Bf16({1}, 1)}}, "int8",
                "a.q.weight_scale");
}

TEST(QuantizeFormats, AListGivesEachAFolder) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", Layers());
  WriteFile(dir / "in/config.json", "{}");
  const std::vector<std::string> names = {"nvfp4", "fp16", "llm-int8"};
  const auto reports = QuantizeEach(dir / "in", dir / "out", names, To(QuantizeTarget::kBF16));
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  ASSERT_EQ(reports->size(), 3u);
  EXPECT_EQ((*reports)[0].quantized.size(), 1u);
  EXPECT_EQ((*reports)[1].cast.size(), 5u);
  for (const std::string& name : names) {
    QuantizeOptions alone = To(*QuantizeTargetOf(name));
    alone.format = name;
    ASSERT_TRUE(Quantize(dir / "in", dir / "alone" / name, alone).ok());
    for (const char* file : {"model.safetensors", "config.json"}) {
      EXPECT_EQ(ReadFile(dir / "out" / name / file), ReadFile(dir / "alone" / name / file)) << name;
    }
  }
}

TEST(QuantizeFormats, AListIsMadeAsAWholeOrNot) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", {{"a.q.weight", F32({1, 2}, {1, NAN})}});
  const QuantizeOptions options = To(QuantizeTarget::kBF16);
  const std::vector<std::vector<std::string>> kBad = {
      {"bf16", "fp8-channel"}, {"bf16", "bf16"}, {"bf16", "x"}, {}};
  for (const std::vector<std::string>& names : kBad) {
    const auto reports = QuantizeEach(dir / "in", dir / "out", names, options);
    ASSERT_FALSE(reports.ok());
    EXPECT_EQ(reports.status().code(), ErrorCode::kInvalidArgument);
    EXPECT_FALSE(fs::exists(dir / "out"));
  }
}

}  // namespace
}  // namespace qstore::make
