// SPDX-License-Identifier: Apache-2.0
#include "analyze/conditional.h"

#include <cmath>
#include <map>

#include "analyze/huffman_cost.h"
#include "apps/analyze/layer_variants.h"

namespace qstore::analyze {
namespace {

using testing::GptqLayer;
using testing::TempDir;
using testing::VariantOf;

const std::function<Status()> kGoOn = [] { return Status(); };

// The definition, by maps.
ConditionalCost Slowly(const LayerVariant& target, const LayerVariant& given) {
  const std::vector<uint16_t> symbols = testing::Symbols(target);
  const std::vector<uint16_t> integers = testing::Symbols(given);
  const auto scales = ScaleTable::Read(given);
  EXPECT_TRUE(scales.ok());
  std::map<std::pair<uint32_t, uint16_t>, std::map<uint16_t, uint64_t>> groups;
  for (uint64_t o = 0; o < target.matrix.rows; ++o) {
    for (uint64_t i = 0; i < target.matrix.columns; ++i) {
      const uint32_t group = scales->group_of().empty() ? 0 : scales->group_of()[i];
      const size_t at = o * target.matrix.columns + i;
      ++groups[{scales->scale(o, group), integers[at]}][symbols[at]];
    }
  }
  ConditionalCost cost;
  cost.scales = scales->count();
  cost.groups = groups.size();
  for (const auto& [key, histogram] : groups) {
    std::vector<uint64_t> counts;
    for (const auto& [symbol, count] : histogram) counts.push_back(count);
    const CodeCost code = HuffmanCost().Of(counts, target.matrix.bits);
    const bool single = counts.size() == 1 && counts[0] == 1;
    cost.code_bits += single ? target.matrix.bits : code.code_bits;
    cost.table_bits += single ? kTableCountBits : code.table_bits;
    cost.entropy_bits += code.entropy_bits;
  }
  return cost;
}

void ExpectEqual(const ConditionalCost& a, const ConditionalCost& b) {
  EXPECT_EQ(a.scales, b.scales);
  EXPECT_EQ(a.groups, b.groups);
  EXPECT_EQ(a.code_bits, b.code_bits);
  EXPECT_EQ(a.table_bits, b.table_bits);
  EXPECT_NEAR(a.entropy_bits, b.entropy_bits, 1e-6 * b.entropy_bits);
}

TEST(Conditional, IsTheDefinitionForEveryPairOfAChain) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const std::map<std::string, LayerVariant> variants = {
      {"16", VariantOf(dir / "16", "layers.2.up")},
      {"8", VariantOf(dir / "8", "layers.2.up")},
      {"4", VariantOf(dir / "4", "layers.2.up")}};
  for (const auto& [target, given] : {std::pair("16", "8"), {"16", "4"}, {"8", "4"}}) {
    const auto cost = CostGiven(variants.at(target), variants.at(given), 1 << 30, kGoOn);
    ASSERT_TRUE(cost.ok()) << cost.status().ToString();
    ExpectEqual(*cost, Slowly(variants.at(target), variants.at(given)));
    EXPECT_GT(cost->groups, cost->scales);
  }
}

// The least memory there is holds 65536 weights: several batches, and the table of one scale.
TEST(Conditional, IsTheSameWhenMemoryIsShort) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 1100, 256, 5);
  testing::WriteSafetensors(dir / "16/m.safetensors",
                            {{"a.weight", DType::kBF16, {1100, 256}, pair.high}});
  std::vector<float> scales(1100, 1.0f);  // 17 rows of one scale go in a batch, 300 do not.
  for (size_t row = 300; row < 1100; ++row) scales[row] = static_cast<float>(2 + row / 17);
  testing::WriteSafetensors(dir / "8/m.safetensors",
                            {{"a.weight", DType::kI8, {1100, 256}, pair.q},
                             {"a.SCB", DType::kF32, {1100}, testing::AsBytes(scales)}});
  const LayerVariant high = VariantOf(dir / "16", "a");
  const LayerVariant low = VariantOf(dir / "8", "a");
  const auto little = CostGiven(high, low, 1, kGoOn);
  const auto much = CostGiven(high, low, 1 << 30, kGoOn);
  ASSERT_TRUE(little.ok() && much.ok());
  ExpectEqual(*little, *much);
  ExpectEqual(*much, Slowly(high, low));
}

TEST(Conditional, HasNothingLeftToSayAboutWhatIsKnown) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const LayerVariant eight = VariantOf(dir / "8", "layers.2.up");
  const auto cost = CostGiven(eight, eight, 1 << 30, kGoOn);
  ASSERT_TRUE(cost.ok());
  EXPECT_EQ(cost->entropy_bits, 0);
}

TEST(Conditional, CountsGroupsFromTheEndAndRefusesOthers) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 32, 64, 5);
  GptqLayer layer = testing::MakeGptq(pair.high, 32, 64, 4, 2);
  for (int32_t& group : layer.g_idx) group -= 2;
  testing::WriteSafetensors(dir / "a/m.safetensors", layer.Tensors("a"));
  layer.g_idx[63] = 2;
  testing::WriteSafetensors(dir / "b/m.safetensors", layer.Tensors("a"));
  const LayerVariant good = VariantOf(dir / "a", "a");
  EXPECT_TRUE(CostGiven(good, good, 1 << 30, kGoOn).ok());
  const LayerVariant bad = VariantOf(dir / "b", "a");
  const auto refused = CostGiven(bad, bad, 1 << 30, kGoOn);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.status().message().find("group 2 of 2 for input 63"), std::string::npos)
      << refused.status().message();
}

TEST(Conditional, StopsWhenAsked) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const LayerVariant eight = VariantOf(dir / "8", "layers.2.up");
  const auto stopped =
      CostGiven(eight, eight, 1 << 30, [] { return Status(ErrorCode::kCancelled, "stop"); });
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.status().code(), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace qstore::analyze
