// SPDX-License-Identifier: Apache-2.0
#include "plan/arrangement.h"

#include <limits>
#include <numeric>

namespace qstore::plan {
namespace {

// The nodes that edges connect with one another, and the edges between them.
struct Component {
  std::vector<uint32_t> nodes;
  std::vector<size_t> edges;
};

uint32_t Root(std::vector<uint32_t>* of, uint32_t node) {
  while ((*of)[node] != node) {
    (*of)[node] = (*of)[(*of)[node]];
    node = (*of)[node];
  }
  return node;
}

std::vector<Component> Components(size_t node_count, std::span<const WeighedEdge> edges) {
  std::vector<uint32_t> of(node_count);
  std::iota(of.begin(), of.end(), 0);
  for (const WeighedEdge& edge : edges) of[Root(&of, edge.child)] = Root(&of, edge.parent);
  std::vector<Component> components(node_count);
  for (uint32_t n = 0; n < node_count; ++n) components[Root(&of, n)].nodes.push_back(n);
  for (size_t e = 0; e < edges.size(); ++e) {
    components[Root(&of, edges[e].child)].edges.push_back(e);
  }
  std::erase_if(components, [](const Component& c) { return c.edges.empty(); });
  return components;
}

using Choice = std::optional<size_t>;  // An edge, or none: alone.

class Arranger {
 public:
  Arranger(std::span<const double> alone, std::span<const WeighedEdge> edges,
           std::vector<Choice>* chosen)
      : alone_(alone), edges_(edges), chosen_(*chosen) {}

  // The change that gains most, again and again. Each makes the sum smaller, so this ends.
  void Improve(const Component& component) {
    double least = Sum(component);
    for (bool improved = true; improved;) {
      improved = false;
      Change best;
      for (const uint32_t node : component.nodes)
        Try({node, {}, node, {}}, component, &least, &best);
      for (const size_t e : component.edges) {
        const WeighedEdge& edge = edges_[e];
        Try({edge.child, e, edge.child, e}, component, &least, &best);
        if (!Follows(edge.parent, edge.child)) continue;
        // Turned around: the parent, which followed from the child, gets another choice.
        Try({edge.child, e, edge.parent, {}}, component, &least, &best);
        for (const size_t f : component.edges) {
          if (edges_[f].child != edge.parent) continue;
          Try({edge.child, e, edge.parent, f}, component, &least, &best);
        }
      }
      if (best.node != kNone) {
        Apply(best);
        improved = true;
      }
    }
  }

 private:
  static constexpr uint32_t kNone = UINT32_MAX;
  // Two nodes get new choices, which may be one and the same.
  struct Change {
    uint32_t node = kNone;
    Choice choice;
    uint32_t other = kNone;
    Choice other_choice;
  };

  void Apply(const Change& change) {
    chosen_[change.other] = change.other_choice;
    chosen_[change.node] = change.choice;
  }

  void Try(const Change& change, const Component& component, double* least, Change* best) {
    const Change before{change.node, chosen_[change.node], change.other, chosen_[change.other]};
    Apply(change);
    const double sum = Sum(component);
    chosen_[change.other] = before.other_choice;
    chosen_[change.node] = before.choice;
    if (sum >= *least) return;
    *least = sum;
    *best = change;
  }

  // Whether the one follows from the other as things are, by way of any.
  bool Follows(uint32_t node, uint32_t ancestor) const {
    while (chosen_[node]) {
      node = edges_[*chosen_[node]].parent;
      if (node == ancestor) return true;
    }
    return false;
  }

  double Stored(uint32_t node) const {
    return chosen_[node] ? edges_[*chosen_[node]].bytes : alone_[node];
  }

  // Infinite where there is a circle.
  double Sum(const Component& component) const {
    double sum = 0;
    for (const uint32_t node : component.nodes) {
      double load = 0;
      size_t steps = 0;
      for (uint32_t at = node;; at = edges_[*chosen_[at]].parent) {
        load += Stored(at);
        if (!chosen_[at]) break;
        if (++steps > component.nodes.size()) return std::numeric_limits<double>::infinity();
      }
      sum += Stored(node) + kLoadWeight * load;
    }
    return sum;
  }

  std::span<const double> alone_;
  std::span<const WeighedEdge> edges_;
  std::vector<Choice>& chosen_;  // By node.
};

}  // namespace

std::vector<std::optional<size_t>> Arrange(std::span<const double> alone,
                                           std::span<const WeighedEdge> edges) {
  std::vector<Choice> chosen(alone.size());
  Arranger arranger(alone, edges, &chosen);
  for (const Component& component : Components(alone.size(), edges)) arranger.Improve(component);
  return chosen;
}

}  // namespace qstore::plan
