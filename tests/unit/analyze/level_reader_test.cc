// SPDX-License-Identifier: Apache-2.0
#include "analyze/level_reader.h"

#include "analyze/levels.h"
#include "unit/checkpoint/gptq_model.h"

namespace qstore::analyze {
namespace {

using testing::TempDir;

class Widths : public ::testing::TestWithParam<unsigned> {};

TEST_P(Widths, ComeBackFromTheirWords) {
  const unsigned bits = GetParam();
  const TempDir dir;
  // A whole block of inputs, and blocks of which the last has fewer where the width permits that.
  for (const uint64_t ins : {uint64_t{32}, uint64_t{416}, bits == 3 ? uint64_t{96} : 80}) {
    testing::GptqLayer layer{bits, 64, ins, 1, {}, {}, {}};
    std::mt19937 random(bits);
    for (uint64_t i = 0; i < layer.outs * ins; ++i) {
      layer.integers.push_back(static_cast<uint8_t>(random() & ((1u << bits) - 1)));
    }
    layer.scales.assign(layer.outs, 0x3c00);
    layer.g_idx.assign(ins, 0);
    const std::filesystem::path path = dir / std::to_string(ins);
    WriteSafetensors(path / "m.safetensors", layer.Tensors("a"));
    const auto tensors = ReadTensors(path);
    ASSERT_TRUE(tensors.ok()) << tensors.status().ToString();
    const auto level = FindLevel(*tensors, "a");
    ASSERT_TRUE(level.ok()) << level.status().ToString();
    LevelReader reader(&*level);
    // Rows together and apart.
    for (const auto& [row, rows] : {std::pair<uint64_t, uint64_t>{0, 64}, {3, 1}, {17, 30}}) {
      std::vector<uint16_t> symbols;
      ASSERT_TRUE(reader.Read(row, rows, &symbols).ok());
      ASSERT_EQ(symbols.size(), rows * ins);
      EXPECT_TRUE(std::equal(symbols.begin(), symbols.end(),
                             layer.integers.begin() + static_cast<ptrdiff_t>(row * ins)))
          << ins << " " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Widths, ::testing::Values(2u, 3u, 4u, 8u));

}  // namespace
}  // namespace qstore::analyze
