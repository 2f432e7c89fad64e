// SPDX-License-Identifier: Apache-2.0
#include "plan/order.h"

#include <gtest/gtest.h>

#include <vector>

#include "registry/table.h"

namespace qstore::plan {
namespace {

using testing::Table;

std::vector<size_t> OrderOf(const std::vector<Table>& tables) {
  std::vector<const scheme::TensorTable*> views;
  for (const Table& table : tables) views.push_back(&table);
  return OrderVariants(views);
}

Table Of(DType dtype, uint64_t rows) { return Table({{"w", dtype, {rows, 256}}}); }

TEST(Order, QuantizedVariantsComeFirst) {
  EXPECT_EQ(OrderOf({Of(DType::kBF16, 8), Of(DType::kI8, 64)}), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(OrderOf({Of(DType::kF32, 8), Of(DType::kQ4K, 8)}), (std::vector<size_t>{1, 0}));
}

TEST(Order, AFewBytesOfCodesDoNotMakeAVariantQuantized) {
  Table mostly = Of(DType::kBF16, 64);
  mostly.Add("mask", DType::kBool, {256});
  EXPECT_EQ(OrderOf({Of(DType::kBF16, 32), mostly}), (std::vector<size_t>{0, 1}));
}

TEST(Order, AmongEqualsFewerBytesComeFirst) {
  EXPECT_EQ(OrderOf({Of(DType::kF32, 8), Of(DType::kBF16, 8), Of(DType::kF16, 8)}),
            (std::vector<size_t>{1, 2, 0}));
  EXPECT_EQ(OrderOf({Of(DType::kI8, 8), Of(DType::kQ4K, 8)}), (std::vector<size_t>{1, 0}));
  EXPECT_TRUE(OrderOf({}).empty());
}

}  // namespace
}  // namespace qstore::plan
