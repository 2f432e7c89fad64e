// SPDX-License-Identifier: Apache-2.0
#include "analyze/weights.h"

#include "apps/analyze/layer_variants.h"

namespace qstore::analyze {
namespace {

using testing::TempDir;
using testing::TestTensor;

TEST(Ordinal, GrowsWithTheValue) {
  uint16_t last = OrdinalOf(0xff80);  // Minus infinity.
  for (const int pattern : {0xff7f, 0xbf80, 0x8001, 0x8000, 0x0000, 0x0001, 0x3f80, 0x7f80}) {
    const uint16_t ordinal = OrdinalOf(static_cast<uint16_t>(pattern));
    EXPECT_GT(ordinal, last);
    last = ordinal;
  }
}

TEST(ReadSymbols, AreOrdinalsOfFloatsAndCodesOfOthers) {
  const TempDir dir;
  const std::vector<std::byte> weights = {std::byte{0x80}, std::byte{0x3f},   // 1
                                          std::byte{0x80}, std::byte{0xbf}};  // -1
  testing::WriteSafetensors(dir / "16/m.safetensors",
                            {{"a.weight", DType::kBF16, {2, 1}, weights}});
  testing::WriteSafetensors(dir / "8/m.safetensors",
                            {{"a.weight", DType::kI8, {2, 1}, {std::byte{127}, std::byte{129}}},
                             {"a.SCB", DType::kF32, {2}, std::vector<std::byte>(8)}});
  EXPECT_EQ(testing::Symbols(testing::VariantOf(dir / "16", "a")),
            (std::vector<uint16_t>{0xbf80, 0x407f}));
  EXPECT_EQ(testing::Symbols(testing::VariantOf(dir / "8", "a")),
            (std::vector<uint16_t>{127, 129}));
}

TEST(ReadSymbols, IsByBandsOfAtLeastARow) {
  const TempDir dir;
  testing::WriteChain(dir.path(), 96, 64);
  LayerVariant variant = testing::VariantOf(dir / "16", "layers.2.up");
  EXPECT_EQ(BandRows(variant), 96u);
  variant.matrix.columns = uint64_t{1} << 15;
  EXPECT_EQ(BandRows(variant), 32u);
  variant.matrix.columns = uint64_t{1} << 40;
  EXPECT_EQ(BandRows(variant), 1u);
}

TEST(ScaleTable, NumbersEqualScalesEquallyAndCountsTheirWeights) {
  const TempDir dir;
  testing::GptqLayer layer{4, 32, 64, 2, {}, {}, {}};
  layer.integers.assign(32 * 64, 5);
  for (uint16_t i = 0; i < 64; ++i)
    layer.scales.push_back(static_cast<uint16_t>(i < 32 ? 0x3c00 : 0x3800 + i % 2));
  for (int32_t i = 0; i < 64; ++i) layer.g_idx.push_back(i < 16 ? 1 : 0);
  testing::WriteSafetensors(dir / "m.safetensors", layer.Tensors("a"));
  const auto table = ScaleTable::Read(testing::VariantOf(dir.path(), "a"));
  ASSERT_TRUE(table.ok()) << table.status().ToString();
  ASSERT_EQ(table->count(), 3u);
  EXPECT_EQ(table->groups(), 2u);
  EXPECT_EQ(table->scale(0, 0), table->scale(31, 0));
  EXPECT_EQ(table->scale(0, 1), table->scale(2, 1));
  EXPECT_NE(table->scale(0, 1), table->scale(1, 1));
  EXPECT_EQ(table->weights(table->scale(0, 0)), 32u * 48);
  EXPECT_EQ(table->weights(table->scale(1, 1)), 16u * 16);
  EXPECT_EQ(table->group_of()[15], 1u);
  EXPECT_EQ(table->group_of()[16], 0u);
}

}  // namespace
}  // namespace qstore::analyze
