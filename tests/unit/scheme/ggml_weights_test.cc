// SPDX-License-Identifier: Apache-2.0
// The weights of a chunk, wherever it begins and ends, of a parent that lies by columns.
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <vector>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "scheme/ggml/weight_rows.h"

namespace qstore::scheme::ggml {
namespace {

using Bytes = std::vector<std::byte>;

// A child of `rows` rows of `columns` weights; its parent has columns of them.
struct TransposedMatrix {
  GgmlParams params;
  uint64_t rows = 0;
  std::vector<float> child;
  Bytes parent;
};

// Whole numbers, of which all types have these.
TransposedMatrix MakeMatrix(DType type, uint64_t rows, uint64_t columns) {
  TransposedMatrix made;
  made.params.parent_dtype = type;
  made.params.columns = columns;
  made.params.is_transposed = true;
  made.rows = rows;
  made.child.resize(rows * columns);
  std::vector<float> turned(rows * columns);
  for (uint64_t i = 0; i < turned.size(); ++i) {
    made.child[i] = turned[i % columns * rows + i / columns] = static_cast<float>(i * 7919 % 251);
  }
  made.parent.resize(turned.size() * DTypeBits(type) / 8);
  RoundTo(type, turned, made.parent);
  return made;
}

std::vector<float> Taken(const TransposedMatrix& matrix, const WeightRange& range,
                         const ParentContent& given) {
  ValueScratch scratch;
  std::vector<float> room;
  std::vector<float> weights(range.count, -1);
  TakeWeights(matrix.params, matrix.child.size(), range, given, &scratch, &room, weights);
  return weights;
}

void ExpectTaken(const TransposedMatrix& matrix, const WeightRange& range) {
  const auto first = matrix.child.begin() + static_cast<ptrdiff_t>(range.first);
  const std::vector<float> expected(first, first + static_cast<ptrdiff_t>(range.count));
  EXPECT_EQ(Taken(matrix, range, {matrix.parent, true}), expected);
  const Region need = RegionOf(matrix.params, matrix.child.size(), range);
  ASSERT_LE(need.end(), matrix.parent.size());
  Bytes part(need.size());
  CopyRegion(need, 0, matrix.parent, part);
  EXPECT_EQ(Taken(matrix, range, {part, false}), expected);
}

TEST(GgmlWeights, AnyRangeOfATransposedMatrix) {
  std::mt19937 random(3);
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    for (const auto& [rows, columns] : std::vector<std::pair<uint64_t, uint64_t>>{
             {1, 1}, {1, 90}, {90, 1}, {3, 5}, {64, 64}, {65, 130}, {200, 63}}) {
      SCOPED_TRACE(testing::Message() << DTypeName(type) << " " << rows << " x " << columns);
      const TransposedMatrix matrix = MakeMatrix(type, rows, columns);
      const uint64_t count = rows * columns;
      ExpectTaken(matrix, {0, count});
      ExpectTaken(matrix, {count - 1, 1});
      for (int i = 0; i < 40; ++i) {
        const uint64_t begin = random() % count;
        ExpectTaken(matrix, {begin, 1 + random() % (count - begin)});
      }
    }
  }
}

TEST(GgmlWeights, TransposedOnesAreRounded) {
  TransposedMatrix matrix = MakeMatrix(DType::kF32, 4, 3);
  matrix.params.via = Via::kBF16;
  matrix.params.plus_one = true;
  const std::vector<float> weights(12, 1.00390625f + 0.001f);
  RoundTo(DType::kF32, weights, matrix.parent);
  const float rounded = base::Bf16ToFloat(base::FloatToBf16(weights[0])) + 1.0f;
  EXPECT_EQ(Taken(matrix, {2, 9}, {matrix.parent, true}), std::vector<float>(9, rounded));
}

TEST(GgmlWeights, ATransposedMatrixNeedsColumns) {
  const TransposedMatrix matrix = MakeMatrix(DType::kF16, 8, 10);
  const Region need = RegionOf(matrix.params, 80, {25, 20});
  EXPECT_EQ(need.begin, 2u * 2);
  EXPECT_EQ(need.run, 3u * 2);
  EXPECT_EQ(need.stride, 8u * 2);
  EXPECT_EQ(need.runs, 10u);
}

}  // namespace
}  // namespace qstore::scheme::ggml
