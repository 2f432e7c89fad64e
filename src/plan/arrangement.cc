// SPDX-License-Identifier: Apache-2.0
#include "plan/arrangement.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

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

std::vector<Component> Components(std::span<const uint32_t> loaded_with,
                                  std::span<const WeighedEdge> edges) {
  const size_t node_count = loaded_with.size();
  std::vector<uint32_t> of(node_count);
  std::iota(of.begin(), of.end(), 0);
  for (uint32_t n = 0; n < node_count; ++n) of[Root(&of, n)] = Root(&of, loaded_with[n]);
  // A parent that is nobody's child is as it is, whatever others do.
  std::vector<bool> is_child(node_count);
  for (const WeighedEdge& edge : edges) is_child[edge.child] = true;
  for (const WeighedEdge& edge : edges) {
    for (const uint32_t parent : edge.parents) {
      if (is_child[parent]) of[Root(&of, edge.child)] = Root(&of, parent);
    }
  }
  std::vector<Component> components(node_count);
  for (uint32_t n = 0; n < node_count; ++n) components[Root(&of, n)].nodes.push_back(n);
  for (Component& component : components) {
    std::stable_sort(component.nodes.begin(), component.nodes.end(),
                     [&](uint32_t a, uint32_t b) { return loaded_with[a] < loaded_with[b]; });
  }
  for (size_t e = 0; e < edges.size(); ++e) {
    components[Root(&of, edges[e].child)].edges.push_back(e);
  }
  std::erase_if(components, [](const Component& c) { return c.edges.empty(); });
  return components;
}

using Choice = std::optional<size_t>;  // An edge, or none: alone.

class Arranger {
 public:
  Arranger(std::span<const double> alone, std::span<const uint32_t> loaded_with,
           std::span<const WeighedEdge> edges, double load_weight, std::vector<Choice>* chosen)
      : load_weight_(load_weight),
        alone_(alone),
        loaded_with_(loaded_with),
        edges_(edges),
        chosen_(*chosen),
        seen_(alone.size()) {}

  // The change that gains most, again and again. Each makes the sum smaller, so this ends.
  void Improve(const Component& component) {
    double least = Sum(component);
    for (bool improved = true; improved;) {
      Change best;
      for (const uint32_t node : component.nodes) Try({{node, {}}}, component, &least, &best);
      for (const size_t e : component.edges) TryEdge(e, component, &least, &best);
      improved = !best.empty();
      Apply(best);
    }
  }

 private:
  // Nodes that get new choices together.
  using Change = std::vector<std::pair<uint32_t, Choice>>;

  void TryEdge(size_t e, const Component& component, double* least, Change* best) {
    const WeighedEdge& edge = edges_[e];
    // Turned around: parents that follow from the child get other choices.
    Change change = {{edge.child, e}};
    for (const uint32_t parent : edge.parents) {
      if (Follows(parent, edge.child)) change.push_back({parent, {}});
    }
    Try(change, component, least, best);
    for (size_t c = 1; c < change.size(); ++c) {
      for (const size_t f : component.edges) {
        if (edges_[f].child != change[c].first) continue;
        change[c].second = f;
        Try(change, component, least, best);
      }
      change[c].second.reset();
    }
  }

  void Apply(const Change& change) {
    for (const auto& [node, choice] : change) chosen_[node] = choice;
  }

  void Try(const Change& change, const Component& component, double* least, Change* best) {
    Change before;
    before.reserve(change.size());
    for (const auto& [node, choice] : change) before.push_back({node, chosen_[node]});
    Apply(change);
    const double sum = Sum(component);
    Apply(before);
    if (sum >= *least) return;
    *least = sum;
    *best = change;
  }

  // Calls visit(ancestor) for each ancestor of a node that was not come to in this round, the node
  // itself first, until it says false; for the node again when there is a circle.
  template <class Visit>
  void ForEachAncestor(uint32_t node, const Visit& visit) {
    if (seen_[node] == round_) return;
    row_.assign(1, node);
    seen_[node] = round_;
    while (!row_.empty()) {
      const uint32_t at = row_.back();
      row_.pop_back();
      if (!visit(at)) return;
      if (!chosen_[at]) continue;
      for (const uint32_t parent : edges_[*chosen_[at]].parents) {
        if (parent == node && !visit(parent)) return;
        if (seen_[parent] == round_) continue;
        seen_[parent] = round_;
        row_.push_back(parent);
      }
    }
  }

  // Whether the one follows from the other as things are, by way of any.
  bool Follows(uint32_t node, uint32_t ancestor) {
    bool found = false;
    ++round_;
    ForEachAncestor(node, [&](uint32_t at) {
      found = at == ancestor && at != node;
      return !found;
    });
    return found;
  }

  double Stored(uint32_t node) const {
    return chosen_[node] ? edges_[*chosen_[node]].bytes : alone_[node];
  }

  // Infinite where there is a circle.
  double Sum(const Component& component) {
    double sum = 0;
    for (const uint32_t node : component.nodes) {
      if (chosen_[node] && IsOwnAncestor(node)) return std::numeric_limits<double>::infinity();
      sum += Stored(node);
    }
    double load = 0;
    for (size_t i = 0; i < component.nodes.size(); ++i) {
      const uint32_t node = component.nodes[i];
      if (i == 0 || loaded_with_[node] != loaded_with_[component.nodes[i - 1]]) ++round_;
      ForEachAncestor(node, [&](uint32_t at) {
        load += Stored(at);
        return true;
      });
    }
    return sum + load_weight_ * load;
  }

  bool IsOwnAncestor(uint32_t node) {
    unsigned times = 0;  // That the node is come to.
    ++round_;
    ForEachAncestor(node, [&](uint32_t at) { return at != node || ++times == 1; });
    return times > 1;
  }

  const double load_weight_;
  std::span<const double> alone_;
  std::span<const uint32_t> loaded_with_;
  std::span<const WeighedEdge> edges_;
  std::vector<Choice>& chosen_;  // By node.
  std::vector<uint64_t> seen_;   // By node: the last round that came to it.
  std::vector<uint32_t> row_;    // Ancestors to go on from.
  uint64_t round_ = 0;
};

}  // namespace

std::vector<std::optional<size_t>> Arrange(std::span<const double> alone,
                                           std::span<const uint32_t> loaded_with,
                                           std::span<const WeighedEdge> edges, double load_weight) {
  std::vector<Choice> chosen(alone.size());
  Arranger arranger(alone, loaded_with, edges, load_weight, &chosen);
  for (const Component& component : Components(loaded_with, edges)) arranger.Improve(component);
  return chosen;
}

}  // namespace qstore::plan
