// SPDX-License-Identifier: Apache-2.0
#include "qstore/checkpoint.h"

#include "unit/checkpoint/gptq_model.h"

namespace qstore {
namespace {

using testing::TempDir;
using testing::TestTensor;
using testing::WriteSafetensors;

Checkpoint Open(const std::filesystem::path& path) {
  auto opened = Checkpoint::Open(path);
  EXPECT_TRUE(opened.ok()) << opened.status().ToString();
  return std::move(opened).value();
}

// A model of these tensors alone.
Checkpoint ModelOf(const TempDir& dir, const std::vector<TestTensor>& tensors) {
  WriteSafetensors(dir / "of/m.safetensors", tensors);
  return Open(dir / "of");
}

std::vector<uint16_t> CodesOf(const Checkpoint& model, size_t matrix, uint64_t row, uint64_t rows) {
  std::vector<uint16_t> codes(rows * model.matrix(matrix).columns);
  const Status read = model.ReadCodes(matrix, row, rows, codes);
  EXPECT_TRUE(read.ok()) << read.ToString();
  return codes;
}

std::vector<std::byte> Zeros(size_t size) { return std::vector<std::byte>(size); }

testing::GptqLayer RandomLayer(unsigned bits, uint64_t outs, uint64_t ins) {
  testing::GptqLayer layer{bits, outs, ins, 1, {}, {}, {}};
  std::mt19937 random(bits);
  for (uint64_t i = 0; i < outs * ins; ++i) {
    layer.integers.push_back(static_cast<uint8_t>(random() & ((1u << bits) - 1)));
  }
  layer.scales.assign(outs, 0x3c00);
  layer.g_idx.assign(ins, 0);
  return layer;
}

TEST(Checkpoint, ListsTensorsAndMatricesOfAllFiles) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 4, 6, 1);
  WriteSafetensors(dir / "b/m.safetensors", {{"a.weight", DType::kF32, {3}, Zeros(12)},
                                             {"z.weight", DType::kBF16, {2, 3}, Zeros(12)}});
  WriteSafetensors(dir / "m.safetensors", {{"a.SCB", DType::kF32, {4}, pair.scales},
                                           {"z.weight", DType::kI8, {4, 6}, pair.q}});
  testing::WriteFile(dir / "config.json", "{}");
  const Checkpoint model = Open(dir.path());
  ASSERT_EQ(model.file_count(), 2u);
  EXPECT_EQ(model.file(1).path.filename(), "m.safetensors");
  ASSERT_EQ(model.tensor_count(), 4u);
  const CheckpointTensor codes = model.tensor(3);
  EXPECT_EQ(codes.name, "z.weight");
  EXPECT_EQ(codes.file, 1u);
  std::vector<std::byte> content(codes.byte_size);
  ASSERT_TRUE(model.file(1).content->Read(codes.begin, content).ok());
  EXPECT_EQ(content, pair.q);
  // A vector is no matrix; of two tensors of one name the first counts.
  ASSERT_EQ(model.matrix_count(), 1u);
  EXPECT_EQ(model.matrix(0).module, "z");
  EXPECT_EQ(model.matrix(0).scheme, "");
  EXPECT_EQ(model.FindMatrix("z"), std::optional<size_t>(0));
  EXPECT_EQ(model.FindMatrix("a"), std::nullopt);
}

TEST(Checkpoint, ReadsFloatsOfAnyRank) {
  const TempDir dir;
  std::vector<std::byte> content;
  for (int i = 0; i < 2 * 24; ++i) content.push_back(static_cast<std::byte>(i));
  const Checkpoint model = ModelOf(dir, {{"a.weight", DType::kF16, {4, 3, 2}, content}});
  const WeightMatrix matrix = model.matrix(0);
  ASSERT_TRUE(matrix.problem.ok());
  EXPECT_EQ(matrix.bits, 16u);
  EXPECT_EQ(matrix.rows, 4u);
  EXPECT_EQ(matrix.columns, 6u);
  EXPECT_EQ(CodesOf(model, 0, 1, 1),
            (std::vector<uint16_t>{0x0d0c, 0x0f0e, 0x1110, 0x1312, 0x1514, 0x1716}));
  EXPECT_EQ(model.ReadScales(0).status().code(), ErrorCode::kInvalidArgument);
}

TEST(Checkpoint, ReadsBytesWithAScaleForEachRow) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 5, 7, 1);
  const Checkpoint model = ModelOf(dir, {{"a.weight", DType::kI8, {5, 7}, pair.q},
                                         {"a.SCB", DType::kF32, {5}, pair.scales},
                                         {"a.weight_format", DType::kU8, {}, {std::byte{0}}}});
  ASSERT_EQ(model.matrix_count(), 1u);
  const WeightMatrix matrix = model.matrix(0);
  ASSERT_TRUE(matrix.problem.ok()) << matrix.problem.ToString();
  EXPECT_EQ(matrix.scheme, "llm-int8");
  EXPECT_EQ(matrix.bits, 8u);
  ASSERT_EQ(matrix.parts.size(), 3u);
  EXPECT_EQ(matrix.parts[1].row_dimension, std::optional<size_t>(0));
  EXPECT_EQ(matrix.parts[2].row_dimension, std::nullopt);
  const std::vector<uint16_t> codes = CodesOf(model, 0, 2, 3);
  for (size_t i = 0; i < codes.size(); ++i) {
    EXPECT_EQ(codes[i], std::to_integer<uint16_t>(pair.q[2 * 7 + i])) << i;
  }
  const auto scales = model.ReadScales(0);
  ASSERT_TRUE(scales.ok()) << scales.status().ToString();
  EXPECT_EQ(testing::AsBytes(scales->patterns), pair.scales);
  EXPECT_TRUE(scales->group_of.empty());
}

class Widths : public ::testing::TestWithParam<unsigned> {};

TEST_P(Widths, ComeBackFromTheirWords) {
  const unsigned bits = GetParam();
  const TempDir dir;
  // A whole block of inputs, and blocks of which the last has fewer where the width permits that.
  for (const uint64_t ins : {uint64_t{32}, uint64_t{416}, bits == 3 ? uint64_t{96} : 80}) {
    const testing::GptqLayer layer = RandomLayer(bits, 64, ins);
    const Checkpoint model = ModelOf(dir, layer.Tensors("a"));
    ASSERT_TRUE(model.matrix(0).problem.ok()) << model.matrix(0).problem.ToString();
    // Rows together and apart.
    for (const auto& [row, rows] : {std::pair<uint64_t, uint64_t>{0, 64}, {3, 1}, {17, 30}}) {
      const std::vector<uint16_t> codes = CodesOf(model, 0, row, rows);
      EXPECT_TRUE(std::equal(codes.begin(), codes.end(),
                             layer.integers.begin() + static_cast<ptrdiff_t>(row * ins)))
          << ins << " " << row;
    }
  }
}

TEST_P(Widths, AreToldByZeroPointsWhereInputsHaveNoGroups) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 32, 96, 1);
  auto tensors = testing::MakeGptq(pair.high, 32, 96, GetParam(), 3).Tensors("a");
  tensors.pop_back();
  const Checkpoint model = ModelOf(dir, tensors);
  ASSERT_TRUE(model.matrix(0).problem.ok()) << model.matrix(0).problem.ToString();
  EXPECT_EQ(model.matrix(0).bits, GetParam());
  EXPECT_EQ(model.matrix(0).columns, 96u);
  const auto scales = model.ReadScales(0);
  ASSERT_TRUE(scales.ok());
  EXPECT_EQ(scales->group_of[31], 0u);
  EXPECT_EQ(scales->group_of[32], 1u);
}

INSTANTIATE_TEST_SUITE_P(All, Widths, ::testing::Values(2u, 3u, 4u, 8u));

TEST(Checkpoint, CountsGroupsFromTheEndAndRefusesOthers) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 32, 64, 5);
  testing::GptqLayer layer = testing::MakeGptq(pair.high, 32, 64, 4, 2);
  for (int32_t& group : layer.g_idx) group -= 2;
  const auto scales = ModelOf(dir, layer.Tensors("a")).ReadScales(0);
  ASSERT_TRUE(scales.ok()) << scales.status().ToString();
  EXPECT_EQ(scales->patterns, std::vector<uint32_t>(layer.scales.begin(), layer.scales.end()));
  EXPECT_EQ(scales->group_of[0], 0u);
  EXPECT_EQ(scales->group_of[63], 1u);
  layer.g_idx[63] = 2;
  const Status refused = ModelOf(dir, layer.Tensors("a")).ReadScales(0).status();
  EXPECT_EQ(refused.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(refused.message().find("'a': g_idx names group 2 of 2 for input 63"), std::string::npos)
      << refused.message();
}

struct Bad {
  const char* rule;
  std::vector<TestTensor> tensors;
};

TEST(Checkpoint, TellsWhatIsWrongWithAMatrix) {
  const TempDir dir;
  const testing::WeightPair pair = testing::MakePair(DType::kBF16, 32, 64, 1);
  const auto gptq = testing::MakeGptq(pair.high, 32, 64, 4, 2).Tensors("bad");
  const auto without = [&](size_t left_out) {
    auto tensors = gptq;
    tensors.erase(tensors.begin() + static_cast<std::ptrdiff_t>(left_out));
    return tensors;
  };
  const auto with = [&](size_t at, std::vector<uint64_t> shape, DType dtype, size_t bytes) {
    auto tensors = gptq;
    tensors[at] = {tensors[at].name, dtype, std::move(shape), Zeros(bytes)};
    return tensors;
  };
  // No groups of inputs, and so many groups of scales that their product with the outputs is 0.
  auto endless = with(2, {uint64_t{1} << 59, 0}, DType::kF16, 0);
  endless.pop_back();
  const std::vector<Bad> cases = {
      {"no scales", without(2)},
      {"inputs * bits / 32", with(0, {7, 32}, DType::kI32, 7 * 32 * 4)},
      {"not I32 with two dimensions", with(0, {8, 32}, DType::kF32, 8 * 32 * 4)},
      {"I32 [8, 0], empty", with(0, {8, 0}, DType::kI32, 0)},
      {"not I32 [2, 4]", with(1, {2, 5}, DType::kI32, 40)},
      {"not [groups, 32]", with(2, {2, 33}, DType::kF16, 132)},
      {"not [groups, 32]", endless},
      {"at most 64 groups", with(2, {65, 32}, DType::kF16, 65 * 64)},
      {"not floats [groups, outputs]", with(2, {2, 32}, DType::kI32, 256)},
      {"one group for each input", with(3, {8, 8}, DType::kI32, 256)},
      {"fill no whole words",
       {{"bad.qweight", DType::kI32, {8, 4}, Zeros(128)},
        {"bad.qzeros", DType::kI32, {2, 1}, Zeros(8)},
        {"bad.scales", DType::kF16, {2, 4}, Zeros(16)},
        {"bad.g_idx", DType::kI32, {64}, Zeros(256)}}},
      {"no SCB", {{"bad.weight", DType::kI8, {32, 64}, Zeros(2048)}}},
      {"I8 [0, 64], empty", {{"bad.weight", DType::kI8, {0, 64}, {}}}},
      {"not F32 with 32 scales",
       {{"bad.weight", DType::kI8, {32, 64}, Zeros(2048)},
        {"bad.SCB", DType::kF32, {31}, Zeros(124)}}},
      {"not F32 with 32 scales",
       {{"bad.weight", DType::kI8, {32, 64}, Zeros(2048)},
        {"bad.SCB", DType::kF32, {4, 8}, Zeros(128)}}},
      {"neither BF16", {{"bad.weight", DType::kF32, {32, 64}, Zeros(8192)}}},
      {"BF16 [32, 0], empty", {{"bad.weight", DType::kBF16, {32, 0}, {}}}},
  };
  for (const Bad& bad : cases) {
    const Checkpoint model = ModelOf(dir, bad.tensors);
    ASSERT_EQ(model.matrix_count(), 1u) << bad.rule;
    const WeightMatrix matrix = model.matrix(0);
    EXPECT_EQ(matrix.module, "bad");
    EXPECT_EQ(matrix.problem.code(), ErrorCode::kInvalidArgument) << bad.rule;
    EXPECT_NE(matrix.problem.message().find(bad.rule), std::string::npos)
        << bad.rule << " | " << matrix.problem.message();
    EXPECT_NE(matrix.problem.message().find("m.safetensors: 'bad."), std::string::npos);
    EXPECT_EQ(model.ReadCodes(0, 0, 1, {}).message(), matrix.problem.message());
    EXPECT_FALSE(model.ReadScales(0).ok());
  }
}

TEST(Checkpoint, RefusesRowsThatAreNotThere) {
  const TempDir dir;
  const Checkpoint model = ModelOf(dir, {{"a.weight", DType::kF16, {4, 6}, Zeros(48)}});
  std::vector<uint16_t> codes(12);
  EXPECT_TRUE(model.ReadCodes(0, 2, 2, codes).ok());
  for (const auto& [row, rows] : {std::pair<uint64_t, uint64_t>{3, 2}, {0, 1}, {5, 2}, {~0u, 2}}) {
    EXPECT_EQ(model.ReadCodes(0, row, rows, codes).code(), ErrorCode::kInvalidArgument) << row;
  }
  EXPECT_EQ(model.ReadCodes(1, 2, 2, codes).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(model.ReadScales(1).status().code(), ErrorCode::kInvalidArgument);
}

TEST(Checkpoint, RefusesWhatIsNoModel) {
  const TempDir dir;
  EXPECT_EQ(Checkpoint::Open(dir / "none").status().code(), ErrorCode::kNotFound);
  testing::WriteFile(dir / "torn/m.safetensors", "none");
  const Status torn = Checkpoint::Open(dir / "torn").status();
  EXPECT_EQ(torn.code(), ErrorCode::kCorrupt);
  EXPECT_NE(torn.message().find("torn/m.safetensors: file is shorter"), std::string::npos)
      << torn.message();
  testing::WriteFile(dir / "text/readme.txt", "no model");
  testing::WriteFile(dir / "text/numbers.dat", "nor this");
  EXPECT_EQ(Open(dir / "text").tensor_count(), 0u);
}

}  // namespace
}  // namespace qstore
