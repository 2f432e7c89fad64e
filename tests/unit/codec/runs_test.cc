// SPDX-License-Identifier: Apache-2.0
#include "codec/runs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/disk_ids.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

using Bytes = std::vector<std::byte>;
using Symbols = std::vector<uint8_t>;

// Exponents, in eighths of an octave, of rows of normal variables whose spreads differ.
Symbols RowsOfWeights(size_t rows, size_t columns, double spread) {
  std::mt19937 random(3);
  std::normal_distribution<double> normal;
  Symbols symbols;
  for (size_t r = 0; r < rows; ++r) {
    const double scale = std::exp(spread * normal(random));
    for (size_t c = 0; c < columns; ++c) {
      const double at = 8 * std::log2(std::fabs(normal(random)) * scale + 1e-6) + 150;
      symbols.push_back(static_cast<uint8_t>(at < 0 ? 0 : at > 255 ? 255 : at));
    }
  }
  return symbols;
}

Histogram Counted(const Symbols& symbols) {
  Histogram counts{};
  CountBytes(symbols.data(), symbols.size(), &counts);
  return counts;
}

Bytes Encoded(const Symbols& symbols, RunClasses classes) {
  Bytes out;
  EncodeRuns(symbols, std::move(classes), &out);
  out.resize(out.size() + kReadSlack);
  return out;
}

Status Decoded(const Bytes& payload, size_t count, Symbols* out) {
  base::ByteReader reader(payload);
  out->assign(count + kPlaneSlack, 0xee);
  const Status status = DecodeRuns(&reader, count, out->data());
  EXPECT_TRUE(!status.ok() || reader.remaining() == kReadSlack);
  out->resize(count);
  return status;
}

// Runs in turns of three classes, which have some symbols of their own.
RunClasses InTurns(Symbols* symbols, size_t count, unsigned run_bits) {
  std::mt19937 random(5);
  RunClasses classes;
  classes.run_bits = run_bits;
  classes.counts.resize(3);
  for (size_t i = 0; i < count; ++i) {
    const size_t run = i >> run_bits;
    if (run == classes.class_of.size()) classes.class_of.push_back(static_cast<uint8_t>(run % 3));
    // The last class has one symbol.
    const size_t c = run % 3;
    const auto symbol = static_cast<uint8_t>(c == 2 ? 7 : 10 * c + random() % (3 + 40 * c));
    symbols->push_back(symbol);
    ++classes.counts[c][symbol];
  }
  return classes;
}

TEST(Runs, SymbolsComeBack) {
  for (const unsigned run_bits : {5u, 6u, 9u, 20u}) {
    for (const size_t count : {0u, 1u, 31u, 32u, 33u, 64u, 1000u, 40000u}) {
      Symbols symbols;
      const RunClasses classes = InTurns(&symbols, count, run_bits);
      Symbols back;
      const Status status = Decoded(Encoded(symbols, classes), count, &back);
      ASSERT_TRUE(status.ok()) << status.ToString();
      EXPECT_EQ(back, symbols) << run_bits << " " << count;
    }
  }
}

TEST(Runs, RowsOfOtherSpreadsGetClasses) {
  const Symbols symbols = RowsOfWeights(64, 2048, 0.5);
  const Histogram counts = Counted(symbols);
  const RunClasses classes = ClassifyRuns(symbols, counts);
  EXPECT_GT(classes.counts.size(), 2u);
  const size_t size = Encoded(symbols, classes).size();
  // The spread is 0.5 of a nat: 0.08 bits a symbol.
  EXPECT_LT(static_cast<double>(size), EntropyBits(counts) / 8 * 0.99);
  EXPECT_NEAR(static_cast<double>(size), classes.bytes, 400);
  Symbols back;
  ASSERT_TRUE(Decoded(Encoded(symbols, classes), symbols.size(), &back).ok());
  EXPECT_EQ(back, symbols);
}

TEST(Runs, RowsOfOneSpreadAndFewSymbolsHaveOneClass) {
  for (const auto& [rows, spread] : {std::pair{64, 0.0}, {4, 0.5}}) {
    const Symbols symbols = RowsOfWeights(static_cast<size_t>(rows), 2048, spread);
    const RunClasses classes = ClassifyRuns(symbols, Counted(symbols));
    EXPECT_EQ(classes.counts.size(), 1u);
    EXPECT_LT(static_cast<double>(Encoded(symbols, classes).size()),
              EntropyBits(Counted(symbols)) / 8 * 1.003 + 300);
  }
}

TEST(Runs, ManySizesOfRowsComeBack) {
  for (const size_t columns : {100u, 384u, 1000u, 5000u}) {
    const Symbols symbols = RowsOfWeights(200000 / columns, columns, 0.7);
    Symbols back;
    const RunClasses classes = ClassifyRuns(symbols, Counted(symbols));
    ASSERT_TRUE(Decoded(Encoded(symbols, classes), symbols.size(), &back).ok());
    EXPECT_EQ(back, symbols) << columns;
  }
}

TEST(Runs, AnyDamageIsFoundOrGivesSymbols) {
  Symbols symbols;
  const Bytes good = Encoded(symbols, InTurns(&symbols, 400, 5));
  Symbols back;
  for (size_t size = 0; size + kReadSlack < good.size(); ++size) {
    const Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(Decoded(cut, 400, &back).code(), ErrorCode::kCorrupt) << size;
  }
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    Bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<std::byte>(1 + random() % 255);
    base::ByteReader reader(bad);
    back.resize(400 + kPlaneSlack);
    const Status status = DecodeRuns(&reader, 400, back.data());
    EXPECT_TRUE(status.ok() || status.code() == ErrorCode::kCorrupt);
  }
}

TEST(Runs, LengthsClassesAndRunsInRunsAreCorrupt) {
  Symbols symbols;
  const Bytes good = Encoded(symbols, InTurns(&symbols, 400, 5));
  Symbols back;
  const auto in_runs = static_cast<int>(PlaneMode::kRuns);
  for (const auto& [at, value] :
       {std::pair{0, 4}, {0, 21}, {1, 0}, {1, 17}, {1, 2}, {2, in_runs}}) {
    Bytes bad = good;
    bad[static_cast<size_t>(at)] = static_cast<std::byte>(value);
    EXPECT_EQ(Decoded(bad, 400, &back).code(), ErrorCode::kCorrupt) << at << " " << value;
  }
}

}  // namespace
}  // namespace qstore::codec
