// SPDX-License-Identifier: Apache-2.0
#include "analyze/extract.h"

#include "analyze/weights.h"
#include "apps/analyze/layer_variants.h"
#include "unit/checkpoint/gptq_model.h"

namespace qstore::analyze {
namespace {

using testing::Symbols;
using testing::TempDir;
using testing::VariantOf;

TEST(SampleRows, TakesAllWhenAllAreWanted) {
  for (const uint64_t wanted : {100u, 101u, 5000u}) {
    const auto rows = SampleRows(100, wanted);
    ASSERT_EQ(rows.size(), 1u);
    EXPECT_EQ(rows[0].end, 100u);
  }
  EXPECT_EQ(SampleRows(20, 1)[0].end, 20u);
}

TEST(SampleRows, SpreadsWholeBlocks) {
  const auto rows = SampleRows(1000, 100);
  ASSERT_EQ(rows.size(), 4u);
  uint64_t end = 0;
  for (const RowRange& range : rows) {
    EXPECT_GE(range.begin, end);
    EXPECT_EQ(range.begin % kWeightRows, 0u);
    EXPECT_EQ(range.end, range.begin + kWeightRows);
    end = range.end;
  }
  EXPECT_GT(rows.back().begin, 800u);
  EXPECT_LE(end, 1000u);
}

class Forms : public ::testing::TestWithParam<const char*> {};

TEST_P(Forms, ExtractsTheRowsAskedFor) {
  const TempDir dir;
  testing::WriteChain(dir.path(), 96, 64);
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 96, 64, 1);
  testing::WriteSafetensors(dir / "int8/m.safetensors",
                            {{"layers.2.up.weight", DType::kI8, {96, 64}, pair.q},
                             {"layers.2.up.SCB", DType::kF32, {96}, pair.scales},
                             {"layers.2.up.weight_format", DType::kU8, {}, {std::byte{0}}}});
  const LayerVariant whole = VariantOf(dir / GetParam(), "layers.2.up");
  const auto part = ExtractLayer(whole, {{32, 64}}, dir / "part");
  ASSERT_TRUE(part.ok()) << part.status().ToString();
  EXPECT_EQ(part->matrix.rows, 32u);
  const std::vector<uint16_t> all = Symbols(whole);
  EXPECT_EQ(Symbols(*part), std::vector<uint16_t>(all.begin() + 32 * 64, all.begin() + 64 * 64));
  // A model of its own: what reads it finds the same.
  const LayerVariant again = VariantOf(dir / "part", "layers.2.up");
  EXPECT_EQ(again.matrix.bits, whole.matrix.bits);
  EXPECT_EQ(Symbols(again), Symbols(*part));
  if (!whole.quantized()) return;
  const auto scales = ScaleTable::Read(*part);
  ASSERT_TRUE(scales.ok()) << scales.status().ToString();
  uint64_t weights = 0;
  for (size_t i = 0; i < scales->count(); ++i) weights += scales->weights(i);
  EXPECT_EQ(weights, part->weights());
}

INSTANTIATE_TEST_SUITE_P(All, Forms, ::testing::Values("16", "8", "4", "int8"));

TEST(ExtractLayer, CopiesTheWholeWhenNothingIsLeftOut) {
  const TempDir dir;
  testing::WriteChain(dir.path(), 96, 64);
  for (const char* variant : {"16", "4"}) {
    const LayerVariant whole = VariantOf(dir / variant, "layers.10.up");
    const auto copy = ExtractLayer(whole, {{0, 96}}, dir / "copy" / variant);
    ASSERT_TRUE(copy.ok()) << copy.status().ToString();
    EXPECT_EQ(Symbols(*copy), Symbols(whole));
  }
}

}  // namespace
}  // namespace qstore::analyze
