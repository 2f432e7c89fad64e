// SPDX-License-Identifier: Apache-2.0
#include "codec/row_promise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "codec/rows.h"

namespace qstore::codec {
namespace {

constexpr RowShape kShape{1024, 256};
constexpr auto kCount = static_cast<double>(kShape.rows * kShape.columns);

using Matrix = std::vector<float>;

Matrix Independent() {
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0, 25);
  Matrix matrix(kShape.rows * kShape.columns);
  for (float& v : matrix) v = normal(random);
  return matrix;
}

// Changes every number by `change(value, row, column)`.
template <class Change>
Matrix Changed(const Change& change) {
  Matrix matrix = Independent();
  for (size_t r = 0; r < kShape.rows; ++r) {
    for (size_t c = 0; c < kShape.columns; ++c) {
      float& v = matrix[r * kShape.columns + c];
      v = change(v, r, c);
    }
  }
  return matrix;
}

// A part of each number is that of the place `back` before.
Matrix Alike(size_t back, float part) {
  Matrix matrix = Independent();
  for (size_t r = 0; r < kShape.rows; ++r) {
    for (size_t c = back; c < kShape.columns; ++c) {
      float& v = matrix[r * kShape.columns + c];
      v = v * std::sqrt(1 - part * part) + part * matrix[r * kShape.columns + c - back];
    }
  }
  return matrix;
}

std::vector<uint16_t> Symbols(const Matrix& matrix) {
  std::vector<uint16_t> symbols;
  for (const float v : matrix) {
    symbols.push_back(static_cast<uint16_t>(std::lround(std::clamp(v, -128.0f, 127.0f)) + 128));
  }
  return symbols;
}

double Entropy(const std::vector<uint16_t>& of) {
  std::vector<double> counts(256);
  for (const uint16_t s : of) counts[s] += 1;
  double bits = 0;
  for (const double c : counts) bits += c > 0 ? c * std::log2(kCount / c) : 0;
  return bits;
}

double Promise(const std::vector<uint16_t>& of) {
  RowSample sample;
  const RowLayout layout{kShape.columns, 1, kShape.rows, kShape.columns, kShape.columns};
  return PromiseBits(RowSymbols::Int8(), of, layout, 0.5 * kShape.columns, &sample);
}

double Coded(const std::vector<uint16_t>& of, size_t limit) {
  RowScratch scratch;
  scratch.symbols = of;
  std::vector<std::byte> out;
  EncodeRowStream(RowSymbols::Int8(), kShape, limit, &scratch, &out);
  return 8.0 * static_cast<double>(out.size());
}

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max() / 16;

TEST(RowPromise, IndependentNumbersPromiseNothing) {
  const auto symbols = Symbols(Independent());
  EXPECT_GT(Promise(symbols), Entropy(symbols));
  EXPECT_GT(Coded(symbols, kNoLimit), Entropy(symbols));
}

TEST(RowPromise, WhatTheModelGainsIsPromised) {
  std::mt19937 random(3);
  std::normal_distribution<float> normal;
  std::vector<float> by_row(kShape.rows), by_column(kShape.columns);
  for (float& v : by_row) v = normal(random);
  for (float& v : by_column) v = normal(random);
  int gained = 0;
  for (const float part : {0.9f, 0.75f, 0.6f}) {
    const Matrix matrices[] = {
        Alike(1, part),
        Alike(3, part),
        Alike(100, part),
        Changed([&](float v, size_t r, size_t) { return v * std::exp(part * by_row[r]) / 2; }),
        Changed([&](float v, size_t, size_t c) { return v * std::exp(part * by_column[c]) / 2; }),
        Changed([&](float v, size_t, size_t c) { return v + 25 * part * by_column[c]; }),
        Changed(
            [&](float v, size_t r, size_t c) { return v + 25 * part * by_row[r] * by_column[c]; }),
    };
    for (size_t m = 0; m < std::size(matrices); ++m) {
      const auto symbols = Symbols(matrices[m]);
      const double limit = 0.995 * Entropy(symbols);
      // Less is gained only by priors that are tried after the first has paid.
      if (Coded(symbols, kNoLimit) > Entropy(symbols) - 0.1 * kCount) continue;
      ++gained;
      EXPECT_LT(Promise(symbols), limit) << m << " " << part;
      EXPECT_GT(Coded(symbols, static_cast<size_t>(limit / 8)), 0) << m << " " << part;
    }
  }
  EXPECT_GE(gained, 18);
}

TEST(RowPromise, OddContentIsJudgedToo) {
  RowSample sample;
  std::mt19937 random(1);
  for (const size_t places : {8, 9, 31, 130}) {
    for (const size_t rows : {8, 13, 700}) {
      std::vector<uint16_t> symbols(places * rows, 7);
      const RowLayout layout{places, rows, rows, 1, std::max<size_t>(8, places / 2)};
      EXPECT_TRUE(std::isfinite(PromiseBits(RowSymbols::Int8(), symbols, layout, 1, &sample)));
      for (uint16_t& s : symbols) s = static_cast<uint16_t>(random() % 256);
      const double bits = PromiseBits(RowSymbols::Int8(), symbols, layout, 1, &sample);
      EXPECT_TRUE(std::isfinite(bits));
    }
  }
}

}  // namespace
}  // namespace qstore::codec
