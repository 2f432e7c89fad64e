// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace qstore::plan {

/// What a byte that a load reads counts, in bytes stored.
/// docs/decisions/0012-what-a-load-may-cost.md.
inline constexpr double kLoadWeight = 1.0 / 16;
/// The same at level fast, which is chosen for the sake of time.
inline constexpr double kFastLoadWeight = 1.0 / 2;

/// A way to store a node: given others.
struct WeighedEdge {
  uint32_t child = 0;
  std::vector<uint32_t> parents;
  double bytes = 0;  ///< What the child then takes.
};

/// For nodes that take `alone` bytes each by themselves: which edge into each is used, as a
/// position in `edges`, or nothing. Nodes with the same number in `loaded_with` are loaded
/// together, and what they read in common is read once. The sum of what all nodes take, and of what
/// these loads read times `load_weight`, is small: no other choice for a single node makes it
/// smaller, and no edge turned around with another choice for one of its other ends. The edges
/// used form no circle. Deterministic.
/// REQUIRES: `loaded_with` are positions of nodes, each of itself.
std::vector<std::optional<size_t>> Arrange(std::span<const double> alone,
                                           std::span<const uint32_t> loaded_with,
                                           std::span<const WeighedEdge> edges,
                                           double load_weight = kLoadWeight);

}  // namespace qstore::plan
