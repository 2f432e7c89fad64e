// SPDX-License-Identifier: Apache-2.0
#include "analyze/layers.h"

#include "unit/checkpoint/gptq_model.h"

namespace qstore::analyze {
namespace {

using testing::TempDir;
using testing::TestTensor;
using testing::WriteSafetensors;

std::vector<VariantSource> Chain(const TempDir& dir) {
  return {{"16", dir / "16"}, {"8", dir / "8"}, {"4", dir / "4"}};
}

Result<std::vector<Layer>> Find(const std::vector<VariantSource>& variants,
                                const std::vector<std::string>& patterns = {}) {
  return FindLayers(variants, patterns);
}

std::string Zeros(size_t size) { return std::string(size, '\0'); }

std::vector<std::byte> ZeroBytes(size_t size) { return std::vector<std::byte>(size); }

TEST(LayerType, IsTheLastTwoNames) {
  EXPECT_EQ(LayerType("model.layers.3.self_attn.q_proj"), "self_attn.q_proj");
  EXPECT_EQ(LayerType("model.layers.3.moe.experts.11.w1"), "experts.w1");
  EXPECT_EQ(LayerType("lm_head"), "lm_head");
  EXPECT_EQ(LayerType("0.1"), "layer");
}

TEST(FindLayers, FindsTheChainInTheOrderOfNumbers) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const auto layers = Find(Chain(dir));
  ASSERT_TRUE(layers.ok()) << layers.status().ToString();
  ASSERT_EQ(layers->size(), 3u);
  EXPECT_EQ((*layers)[0].name, "embed");
  EXPECT_NE((*layers)[0].not_analysed.find("in '8': not quantized"), std::string::npos)
      << (*layers)[0].not_analysed;
  EXPECT_EQ((*layers)[1].name, "layers.2.up");
  EXPECT_EQ((*layers)[2].name, "layers.10.up");
  const Layer& layer = (*layers)[2];
  EXPECT_TRUE(layer.not_analysed.empty());
  ASSERT_EQ(layer.variants.size(), 3u);
  const unsigned bits[] = {16, 8, 4};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(layer.variants[i].matrix.bits, bits[i]);
    EXPECT_EQ(layer.variants[i].matrix.rows, 96u);
    EXPECT_EQ(layer.variants[i].matrix.columns, 256u);
  }
  EXPECT_EQ(layer.variants[2].matrix.groups, 2u);
}

TEST(FindLayers, TakesPatterns) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const auto layers = Find(Chain(dir), {"*.1?.up", "nothing"});
  ASSERT_TRUE(layers.ok());
  ASSERT_EQ(layers->size(), 1u);
  EXPECT_EQ((*layers)[0].name, "layers.10.up");
  EXPECT_FALSE(Find(Chain(dir), {"nothing"}).ok());
}

TEST(FindLayers, TakesOneModelAlone) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const auto layers = Find({{"16", dir / "16"}});
  ASSERT_TRUE(layers.ok());
  EXPECT_EQ(layers->size(), 3u);
  for (const Layer& layer : *layers) EXPECT_TRUE(layer.not_analysed.empty());
}

struct BadLayer {
  const char* rule;
  std::vector<TestTensor> tensors;
};

TEST(FindLayers, TellsWhatIsWrongWithALayer) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 32, 64, 1);
  const std::vector<BadLayer> cases = {
      {"no 'bad.weight'", {}},
      {"in 'low': not quantized", {{"bad.weight", DType::kBF16, {32, 64}, pair.high}}},
      {"no SCB", {{"bad.weight", DType::kI8, {32, 64}, ZeroBytes(2048)}}},
      {"neither BF16", {{"bad.weight", DType::kF32, {32, 64}, ZeroBytes(8192)}}},
      {"16 x 64 weights, but 32 x 64",
       {{"bad.weight", DType::kI8, {16, 64}, ZeroBytes(1024)},
        {"bad.SCB", DType::kF32, {16}, ZeroBytes(64)}}},
  };
  WriteSafetensors(dir / "high/m.safetensors",
                   {{"bad.weight", DType::kBF16, {32, 64}, pair.high},
                    {"good.weight", DType::kBF16, {32, 64}, pair.high}});
  for (const BadLayer& bad : cases) {
    std::vector<TestTensor> tensors = bad.tensors;
    tensors.push_back({"good.weight", DType::kI8, {32, 64}, pair.q});
    tensors.push_back({"good.SCB", DType::kF32, {32}, pair.scales});
    WriteSafetensors(dir / "low/m.safetensors", tensors);
    const auto layers = Find({{"high", dir / "high"}, {"low", dir / "low"}});
    ASSERT_TRUE(layers.ok()) << layers.status().ToString();
    ASSERT_EQ(layers->size(), 2u);
    EXPECT_NE((*layers)[0].not_analysed.find(bad.rule), std::string::npos)
        << bad.rule << " | " << (*layers)[0].not_analysed;
    EXPECT_TRUE((*layers)[0].variants.empty());
    EXPECT_TRUE((*layers)[1].not_analysed.empty()) << (*layers)[1].not_analysed;
  }
}

TEST(FindLayers, RefusesWhatIsNoModelOrNoPair) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const auto refused = [](const Result<std::vector<Layer>>& result, ErrorCode code,
                          const char* text) {
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.status().code(), code) << result.status().ToString();
    EXPECT_NE(result.status().message().find(text), std::string::npos) << result.status().message();
  };
  refused(Find({}), ErrorCode::kInvalidArgument, "one to three");
  refused(Find({{"a", dir / "16"}, {"a", dir / "8"}}), ErrorCode::kInvalidArgument, "named 'a'");
  refused(Find({{"a/b", dir / "16"}}), ErrorCode::kInvalidArgument, "a/b");
  refused(Find({{"a", dir / "none"}}), ErrorCode::kNotFound, "none");
  testing::WriteFile(dir / "text/readme.txt", "no model");
  refused(Find({{"a", dir / "text"}}), ErrorCode::kInvalidArgument, "holds no tensors");
  testing::WriteFile(dir / "torn/m.safetensors", Zeros(20));
  refused(Find({{"a", dir / "torn"}}), ErrorCode::kCorrupt, "torn/m.safetensors");
  WriteSafetensors(dir / "other/m.safetensors", {{"b.weight", DType::kI8, {4, 4}, ZeroBytes(16)},
                                                 {"b.SCB", DType::kF32, {4}, ZeroBytes(16)}});
  refused(Find({{"16", dir / "16"}, {"8", dir / "other"}}), ErrorCode::kInvalidArgument,
          "no layer in common");
}

}  // namespace
}  // namespace qstore::analyze
