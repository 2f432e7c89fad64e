// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/importance.h"

#include <gtest/gtest.h>

#include <limits>

#include "apps/make/gguf/gguf_files.h"
#include "unit/test_files.h"

namespace qstore::make {
namespace {

using testing::AsBytes;
using testing::FloatBytes;
using testing::GgufFile;
using Floats = std::vector<float>;

Result<Importance> Read(const std::string& file) {
  const qstore::testing::TempDir dir;
  qstore::testing::WriteFile(dir / "m.imatrix", file);
  return ReadImportance(dir / "m.imatrix");
}

GgufFile Keys() {
  GgufFile file;
  file.Texts("imatrix.datasets", "calibration.txt");
  file.Number("imatrix.chunk_count", 7).Number("imatrix.chunk_size", 512);
  return file;
}

std::string OldEntry(std::string_view name, int32_t calls, const Floats& values) {
  return AsBytes(static_cast<uint32_t>(name.size())) + std::string(name) + AsBytes(calls) +
         AsBytes(static_cast<uint32_t>(values.size())) + FloatBytes(values);
}

void ExpectRefused(const std::string& file, const std::string& part) {
  const auto read = Read(file);
  ASSERT_FALSE(read.ok()) << part;
  EXPECT_NE(read.status().message().find("m.imatrix: "), std::string::npos);
  EXPECT_NE(read.status().message().find(part), std::string::npos) << read.status().ToString();
}

TEST(Importance, IsTheMeanOfSquaresAndOneForWhatWasNotUsed) {
  GgufFile file = Keys();
  file.Tensor("a.weight.in_sum2", 0, {2, 3}, FloatBytes({1, 2, 3, 4, 5, 6}));
  file.Tensor("a.weight.counts", 0, {1, 3}, FloatBytes({2, 0, 4.3f}));
  const auto read = Read(file.bytes());
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  EXPECT_EQ(read->columns.at("a.weight"), (Floats{0.5f, 1, 1, 1, 1.25f, 1.5f}));
  EXPECT_EQ(read->dataset, "calibration.txt");
  EXPECT_EQ(read->chunks, 7u);
}

TEST(Importance, OfTheOlderFormIsDividedByCalls) {
  const std::string entries =
      AsBytes(uint32_t{2}) + OldEntry("a.weight", 4, {1, 2}) + OldEntry("b.weight", 0, {3});
  const auto bare = Read(entries);
  ASSERT_TRUE(bare.ok()) << bare.status().ToString();
  EXPECT_EQ(bare->columns.at("a.weight"), (Floats{0.25f, 0.5f}));
  EXPECT_EQ(bare->columns.at("b.weight"), (Floats{3}));
  EXPECT_EQ(bare->chunks, 0u);
  const auto whole = Read(entries + AsBytes(uint32_t{9}) + AsBytes(uint32_t{3}) + "x.t");
  ASSERT_TRUE(whole.ok()) << whole.status().ToString();
  EXPECT_EQ(whole->chunks, 9u);
  EXPECT_EQ(whole->dataset, "x.t");
}

TEST(Importance, ThatCannotBeIsRefused) {
  const std::string nothing = AsBytes(uint32_t{0});
  ExpectRefused("", "neither a GGUF file nor");
  ExpectRefused("text", "neither a GGUF file nor");
  ExpectRefused(nothing, "has no entries");
  const std::string old = AsBytes(uint32_t{1}) + OldEntry("a.weight", 1, {1, 2});
  ExpectRefused(old.substr(0, old.size() - 1), "ends too early");
  ExpectRefused(AsBytes(uint32_t{1}) + OldEntry("a", 1, {}), "no values");
  const float infinity = std::numeric_limits<float>::infinity();
  ExpectRefused(AsBytes(uint32_t{1}) + OldEntry("a", 1, {infinity}), "infinity or NaN");
  ExpectRefused(GgufFile().bytes(), "imatrix.chunk_count");
  GgufFile alone = Keys();
  alone.Tensor("a.weight.counts", 0, {1}, FloatBytes({1}));
  ExpectRefused(alone.bytes(), "only one of sums and counts of 'a.weight'");
  GgufFile uneven = Keys();
  uneven.Tensor("a.in_sum2", 0, {3}, FloatBytes({1, 2, 3}));
  uneven.Tensor("a.counts", 0, {2}, FloatBytes({1, 2}));
  ExpectRefused(uneven.bytes(), "do not fit");
}

}  // namespace
}  // namespace qstore::make
