// SPDX-License-Identifier: Apache-2.0
// Which tensors of a file are taken for those of a quantized format.
#include "registry/table.h"
#include "scheme/grid/grid_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace qstore::scheme {
namespace {

using testing::Listed;
using testing::Table;

// What the formats make of the first tensor, the codes.
std::vector<GridTensors> FindAll(const Table& table) {
  std::vector<GridTensors> found;
  for (const GridFormat* format : GridFormats()) {
    const auto part = format->PartOf(table.tensor(0).name);
    if (!part || part->part != GridPart::kCodes) continue;
    for (GridTensors& tensors : format->Find(part->module, table)) {
      found.push_back(std::move(tensors));
    }
  }
  return found;
}

struct Case {
  const char* name;
  std::vector<Listed> tensors;
  RoundingRule rule;
  Groups groups;
  uint64_t elem_count;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

const DType kE4m3 = DType::kF8E4M3;
const DType kBf16 = DType::kBF16;

std::vector<Case> Cases() {
  return {
      {"LlmInt8",
       {{"a.weight", DType::kI8, {6, 64}}, {"a.SCB", DType::kF32, {6}}},
       RoundingRule::kLlmInt8,
       {1, 64, 64},
       384},
      {"Nf4",
       {{"a.weight", DType::kU8, {192, 1}},
        {"a.weight.absmax", DType::kF32, {6}},
        {"a.weight.quant_state.bitsandbytes__nf4", DType::kU8, {80}}},
       RoundingRule::kNf4,
       {1, 64, 384},
       384},
      {"Fp4",
       {{"a.weight", DType::kU8, {192, 1}},
        {"a.weight.absmax", DType::kF32, {3}},
        {"a.weight.quant_state.bitsandbytes__fp4", DType::kU8, {80}}},
       RoundingRule::kFp4,
       {1, 128, 384},
       384},
      {"Fp8OfTensor",
       {{"a.weight", kE4m3, {6, 64}}, {"a.weight_scale", kBf16, {1}}},
       RoundingRule::kE4m3,
       {6, 64, 64},
       384},
      {"Fp8ByRow",
       {{"a.weight", kE4m3, {6, 64}}, {"a.weight_scale", kBf16, {6, 1}}},
       RoundingRule::kE4m3,
       {1, 64, 64},
       384},
      {"Fp8ByBlock",
       {{"a.weight", kE4m3, {300, 200}}, {"a.weight_scale", kBf16, {3, 2}}},
       RoundingRule::kE4m3,
       {128, 128, 200},
       60000},
      {"Fp8Inverse",
       {{"a.weight", kE4m3, {300, 200}}, {"a.weight_scale_inv", DType::kF32, {3, 2}}},
       RoundingRule::kE4m3Inverse,
       {128, 128, 200},
       60000},
      {"Int8ByRow",
       {{"a.weight", DType::kI8, {6, 64}}, {"a.weight_scale", kBf16, {6, 1}}},
       RoundingRule::kInt8,
       {1, 64, 64},
       384},
      {"Int4",
       {{"a.weight_packed", DType::kI32, {6, 8}}, {"a.weight_scale", kBf16, {6, 2}}},
       RoundingRule::kInt4,
       {1, 32, 64},
       384},
      {"Int4Zeros",
       {{"a.weight_packed", DType::kI32, {8, 8}},
        {"a.weight_scale", kBf16, {8, 2}},
        {"a.weight_zero_point", DType::kI32, {1, 2}}},
       RoundingRule::kInt4Zeros,
       {1, 32, 64},
       512},
      {"Int8Zeros",
       {{"a.weight_packed", DType::kI32, {8, 16}},
        {"a.weight_scale", kBf16, {8, 2}},
        {"a.weight_zero_point", DType::kI32, {2, 2}}},
       RoundingRule::kInt8Zeros,
       {1, 32, 64},
       512},
      {"Int8ByteZeros",
       {{"a.weight", DType::kI8, {8, 64}},
        {"a.weight_scale", kBf16, {8, 1}},
        {"a.weight_zero_point", DType::kI8, {8, 1}}},
       RoundingRule::kInt8ByteZeros,
       {1, 64, 64},
       512},
      {"Nvfp4",
       {{"a.weight_packed", DType::kU8, {6, 32}},
        {"a.weight_scale", kE4m3, {6, 4}},
        {"a.weight_global_scale", DType::kF32, {1}}},
       RoundingRule::kNvfp4,
       {1, 16, 64},
       384},
      {"Mxfp4",
       {{"a.weight_packed", DType::kU8, {6, 32}}, {"a.weight_scale", DType::kU8, {6, 2}}},
       RoundingRule::kMxfp4,
       {1, 32, 64},
       384},
      {"Mxfp8",
       {{"a.weight", kE4m3, {6, 64}}, {"a.weight_scale", DType::kU8, {6, 2}}},
       RoundingRule::kMxfp8,
       {1, 32, 64},
       384},
      {"ModeloptNvfp4",
       {{"a.weight", DType::kU8, {6, 32}},
        {"a.weight_scale", kE4m3, {6, 4}},
        {"a.weight_scale_2", DType::kF32, {}}},
       RoundingRule::kNvfp4Product,
       {1, 16, 64},
       384},
      {"TorchaoInt8",
       {{"a._weight_qdata", DType::kI8, {6, 64}}, {"a._weight_scale", DType::kF32, {6, 1}}},
       RoundingRule::kInt8Wide,
       {1, 64, 64},
       384},
      {"TorchaoFp8",
       {{"a._weight_qdata", kE4m3, {6, 64}}, {"a._weight_scale", DType::kF32, {6, 1}}},
       RoundingRule::kE4m3Wide,
       {1, 64, 64},
       384},
      {"QuantoInt8",
       {{"a.weight._data", DType::kI8, {6, 64}}, {"a.weight._scale", kBf16, {6, 1}}},
       RoundingRule::kInt8Whole,
       {1, 64, 64},
       384},
      {"WithoutAModule",
       {{"weight", kE4m3, {6, 64}}, {"weight_scale", kBf16, {6, 1}}},
       RoundingRule::kE4m3,
       {1, 64, 64},
       384},
  };
}

class GridFormatsTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Formats, GridFormatsTest, ::testing::ValuesIn(Cases()),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_P(GridFormatsTest, FindsItsTensors) {
  const Table table(GetParam().tensors);
  const std::vector<uint64_t> shape = {GetParam().elem_count};
  std::vector<GridReading> readings;
  for (const GridFormat* format : GridFormats()) {
    const auto part = format->PartOf(table.tensor(0).name);
    if (!part || part->part != GridPart::kCodes) continue;
    for (auto& each : ReadingsFor(*format, part->module, table, {"a.weight", kBf16, shape})) {
      readings.push_back(std::move(each));
    }
  }
  ASSERT_GE(readings.size(), 1u);
  EXPECT_EQ(readings[0].rule, GetParam().rule);
  EXPECT_EQ(readings[0].tensors.groups.height, GetParam().groups.height);
  EXPECT_EQ(readings[0].tensors.groups.width, GetParam().groups.width);
  EXPECT_EQ(readings[0].tensors.groups.columns, GetParam().groups.columns);
  EXPECT_EQ(readings[0].tensors.codes, 0u);
}

TEST_P(GridFormatsTest, WantsAllItsTensors) {
  for (size_t i = 1; i < GetParam().tensors.size(); ++i) {
    std::vector<Listed> tensors = GetParam().tensors;
    const bool is_optional = tensors[i].name.ends_with("zero_point");
    tensors.erase(tensors.begin() + static_cast<ptrdiff_t>(i));
    EXPECT_EQ(FindAll(Table(tensors)).empty(), !is_optional) << GetParam().tensors[i].name;
  }
}

TEST_P(GridFormatsTest, WantsScalesOfFittingNumber) {
  std::vector<Listed> tensors = GetParam().tensors;
  tensors[1].shape[0] += 1000;
  EXPECT_TRUE(FindAll(Table(tensors)).empty());
  tensors[1].shape.assign(tensors[1].shape.size(), 0);
  EXPECT_TRUE(FindAll(Table(tensors)).empty());
}

TEST_P(GridFormatsTest, WantsCodesOfItsType) {
  for (const DType dtype : {DType::kF64, DType::kBool, DType::kI16}) {
    std::vector<Listed> tensors = GetParam().tensors;
    tensors[0].dtype = dtype;
    for (const GridTensors& found : FindAll(Table(tensors))) {
      // Packed bytes of four bits have no type of their own.
      EXPECT_TRUE(RoundingOf(found.rules.front()).grid == GridKind::kTable);
    }
  }
}

// The weights tell which reading is right.
TEST(GridReadings, AreThoseThatFitTheWeights) {
  const Table mlx({{"a.weight", DType::kU32, {6, 8}},
                   {"a.scales", kBf16, {6, 1}},
                   {"a.biases", kBf16, {6, 1}}});
  std::vector<RoundingRule> rules;
  for (const uint64_t columns : {32, 64, 128, 256}) {
    const std::vector<uint64_t> shape = {6, columns};
    for (const GridFormat* format : GridFormats()) {
      for (const auto& reading : ReadingsFor(*format, "a.", mlx, {"a.weight", kBf16, shape})) {
        EXPECT_EQ(reading.tensors.groups.width, columns);
        rules.push_back(reading.rule);
      }
      EXPECT_TRUE(ReadingsFor(*format, "a.", mlx, {"a.weight", DType::kF16, shape}).empty());
    }
  }
  EXPECT_EQ(rules,
            (std::vector{RoundingRule::kAffine8, RoundingRule::kAffine4, RoundingRule::kAffine2}));
}

TEST_P(GridFormatsTest, EmptyCodesAreNone) {
  std::vector<Listed> tensors = GetParam().tensors;
  for (Listed& each : tensors) each.shape.assign(each.shape.size(), 0);
  EXPECT_TRUE(FindAll(Table(tensors)).empty());
}

}  // namespace
}  // namespace qstore::scheme
