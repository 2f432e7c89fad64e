// SPDX-License-Identifier: Apache-2.0
#include "plan/arrangement.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <set>

namespace qstore::plan {
namespace {

using Choices = std::vector<std::optional<size_t>>;

// Nodes that are loaded each by itself.
Choices ArrangeAll(const std::vector<double>& alone, const std::vector<WeighedEdge>& edges) {
  std::vector<uint32_t> loaded_with(alone.size());
  std::iota(loaded_with.begin(), loaded_with.end(), 0u);
  return Arrange(alone, loaded_with, edges);
}

TEST(Arrange, NodesWithoutEdgesStayAlone) {
  const std::vector<double> alone = {5, 6};
  EXPECT_EQ(ArrangeAll(alone, {}), (Choices{std::nullopt, std::nullopt}));
}

// Bits of a weight as they are measured: an int8 twin, and the 16 bits.
TEST(Arrange, APairKeepsItsLowPrecisionDirect) {
  const std::vector<double> alone = {7.0, 10.60};
  const std::vector<WeighedEdge> edges = {{1, {0}, 3.64}, {0, {1}, 0.0}};
  EXPECT_EQ(ArrangeAll(alone, edges), (Choices{std::nullopt, 0u}));
}

// As level fast codes them.
TEST(Arrange, TheWeightOfALoadDecides) {
  const std::vector<double> alone = {7.6, 10.6};
  const std::vector<uint32_t> loaded_with = {0, 1};
  const std::vector<WeighedEdge> edges = {{1, {0}, 3.9}, {0, {1}, 0.0}};
  EXPECT_EQ(Arrange(alone, loaded_with, edges), (Choices{1u, std::nullopt}));
  EXPECT_EQ(Arrange(alone, loaded_with, edges, kFastLoadWeight), (Choices{std::nullopt, 0u}));
}

TEST(Arrange, FurtherPrecisionsFollowFromTheHighOne) {
  const std::vector<double> alone = {7.0, 10.60, 6.6, 4.2};
  const std::vector<WeighedEdge> edges = {{1, {0}, 3.64}, {0, {1}, 0.0}, {1, {2}, 4.05},
                                          {2, {1}, 0.0},  {1, {3}, 6.5}, {3, {1}, 0.0}};
  const Choices chosen = ArrangeAll(alone, edges);
  double stored = 0;
  for (size_t n = 0; n < alone.size(); ++n) {
    stored += chosen[n] ? edges[*chosen[n]].bytes : alone[n];
  }
  EXPECT_LT(stored, 10.75);
  EXPECT_EQ(std::set(chosen.begin(), chosen.end()).size(), 4u);
}

TEST(Arrange, AChainIsNotTakenWhereALoadPaysMoreThanItGains) {
  // A child of the smallest gain reads a large parent.
  const std::vector<double> alone = {100, 5};
  const std::vector<WeighedEdge> edges = {{1, {0}, 4}};
  EXPECT_EQ(ArrangeAll(alone, edges), (Choices{std::nullopt, std::nullopt}));
  EXPECT_EQ(ArrangeAll(std::vector<double>{10, 5}, edges), (Choices{std::nullopt, 0u}));
}

// The first edge gains most, but then its parent is better off as a child of its child.
TEST(Arrange, EdgesTurnAround) {
  const std::vector<double> alone = {8.0, 10.9, 6.7};
  const std::vector<WeighedEdge> edges = {{1, {0}, 4.3}, {1, {2}, 4.0}, {2, {1}, 0.0}};
  EXPECT_EQ(ArrangeAll(alone, edges), (Choices{std::nullopt, 0u, 2u}));
}

// Codes that follow from the weights and from scales, or from the weights alone; the scales follow
// from the weights as well.
TEST(Arrange, WhatIsLoadedTogetherReadsCommonParentsOnce) {
  const std::vector<double> alone = {10, 6, 0.5};
  const std::vector<uint32_t> loaded_with = {0, 1, 1};
  const std::vector<WeighedEdge> edges = {{1, {0}, 0.0}, {1, {0, 2}, 0.1}, {2, {0}, 0.0}};
  EXPECT_EQ(Arrange(alone, loaded_with, edges), (Choices{std::nullopt, 0u, 2u}));
  // Alone the scales would cost more to load than they take.
  EXPECT_EQ(ArrangeAll(alone, edges), (Choices{std::nullopt, 0u, std::nullopt}));
}

TEST(Arrange, ACircleByWayOfASecondParentIsNone) {
  const std::vector<double> alone = {10, 8, 6};
  const std::vector<WeighedEdge> edges = {{0, {1, 2}, 1.0}, {2, {0}, 0.0}, {1, {2, 0}, 0.0}};
  const Choices chosen = ArrangeAll(alone, edges);
  size_t used = 0;
  for (const auto& choice : chosen) used += choice.has_value() ? 1 : 0;
  EXPECT_EQ(used, 1u);
}

TEST(Arrange, RandomGraphsHaveNoCirclesAndNoBetterSingleChoice) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    const size_t count = 2 + random() % 6;
    std::vector<double> alone(count);
    for (double& a : alone) a = 1 + static_cast<double>(random() % 1000);
    std::vector<WeighedEdge> edges;
    for (uint32_t c = 0; c < count; ++c) {
      for (uint32_t p = 0; p < count; ++p) {
        if (p != c && random() % 3 != 0) {
          edges.push_back({c, {p}, alone[c] * static_cast<double>(random() % 100) / 100});
        }
      }
    }
    const auto sum = [&](const Choices& chosen) {
      double total = 0;
      for (uint32_t n = 0; n < count; ++n) {
        double load = 0;
        uint32_t at = n;
        for (size_t steps = 0; steps <= count; ++steps) {
          load += chosen[at] ? edges[*chosen[at]].bytes : alone[at];
          if (!chosen[at]) break;
          at = edges[*chosen[at]].parents[0];
          if (steps == count) return 1e18;
        }
        total += (chosen[n] ? edges[*chosen[n]].bytes : alone[n]) + kLoadWeight * load;
      }
      return total;
    };
    const Choices chosen = ArrangeAll(alone, edges);
    const double least = sum(chosen);
    ASSERT_LT(least, 1e18);
    for (uint32_t n = 0; n < count; ++n) {
      Choices other = chosen;
      other[n].reset();
      EXPECT_GE(sum(other), least);
      for (size_t e = 0; e < edges.size(); ++e) {
        if (edges[e].child != n) continue;
        other[n] = e;
        EXPECT_GE(sum(other), least);
      }
    }
  }
}

}  // namespace
}  // namespace qstore::plan
