// SPDX-License-Identifier: Apache-2.0
#include "store/find_edges.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "scheme/registry.h"
#include "store/packing.h"

namespace qstore::store {
namespace {

// Bytes of a tensor whose module is worth being looked for under other names, and the share of them
// that a module may leave which is the same: far below what chance explains.
constexpr uint64_t kWorthMatching = 4096;
constexpr double kExplained = 0.8;
// More are not one module, whatever their names say.
constexpr size_t kMostMatrices = 16;

std::string ShapeKey(const scheme::TensorDesc& tensor) {
  std::string text(DTypeName(tensor.dtype));
  for (const uint64_t dimension : tensor.shape) text += " " + std::to_string(dimension);
  return text + ";";
}

scheme::ObjectSpec SpecUnder(const PlannedObject& object, const Proposal& proposal) {
  scheme::ObjectSpec spec = object.spec;
  spec.chunk_elems = proposal.chunk_elems;
  return spec;
}

}  // namespace

EdgeFinder::EdgeFinder(PackPlan* plan, Level level) : plan_(*plan), level_(level) {
  for (const SourceVariant& variant : plan_.variants) tables_.emplace_back(variant);
  for (const scheme::Scheme* each : scheme::Schemes()) {
    for (uint32_t v = 0; v < tables_.size(); ++v) {
      if (each->IsSide(tables_[v].all())) sides_.push_back({v, each});
    }
  }
  FindDirect();
}

// What a direct variant has is loaded from its own bytes, also where others have it too.
void EdgeFinder::FindDirect() {
  is_direct_.resize(plan_.objects.size());
  for (size_t v = 0; v < plan_.variants.size(); ++v) {
    if (!plan_.is_direct[v]) continue;
    for (const SourceFileEntry& file : plan_.variants[v].files) {
      for (const SourcePart& part : file.parts) is_direct_[part.object] = true;
    }
  }
}

bool EdgeFinder::MayHaveParents(uint32_t id) const {
  const PlannedObject& object = plan_.objects[id];
  return !plan_.is_stored(id) && !is_direct_[id] && plan_.part(object.place).tensor != kNoTensor &&
         object.spec.byte_size > 0;
}

Status EdgeFinder::MatchModules(const ShareLeft& share_left, const std::function<Status()>& poll,
                                Proposals* proposals) {
  const std::vector<std::vector<uint32_t>> left = WithoutEdges(*proposals);
  const size_t count = plan_.variants.size();
  names_.assign(count, std::vector<ModuleNames>(count));
  for (uint32_t own = plan_.stored_variants(); own < count; ++own) {
    for (uint32_t other = 0; other < count; ++other) {
      if (own == other || left[own].empty() || left[other].empty()) continue;
      if (!MayFollow(own, other)) continue;
      QSTORE_TRY(MatchVariants(own, left[own], other, left[other], share_left, poll));
    }
  }
  const std::vector<uint32_t> renamed = CutRenamed();
  for (const uint32_t id : renamed) (*proposals)[id] = Propose(id);
  return {};
}

// Cuts the objects of variants that have modules under other names, each as the weights of its own
// module are cut. Returns those that may have parents.
std::vector<uint32_t> EdgeFinder::CutRenamed() {
  std::vector<uint32_t> renamed;
  for (uint32_t id = 0; id < plan_.objects.size(); ++id) {
    if (plan_.part(plan_.objects[id].place).tensor == kNoTensor) continue;
    bool is_renamed = false;
    const auto& of_variant = names_[plan_.objects[id].place.variant];
    for (uint32_t other = 0; other < of_variant.size(); ++other) {
      if (of_variant[other].empty()) continue;
      is_renamed = true;
      if (plan_.objects[id].spec.packed_weights == 0) Cut(id, other, of_variant[other]);
    }
    if (is_renamed && MayHaveParents(id)) renamed.push_back(id);
  }
  return renamed;
}

// By variant: matrices that are worth it and have no edge, neither as children nor as parents.
std::vector<std::vector<uint32_t>> EdgeFinder::WithoutEdges(const Proposals& proposals) const {
  std::vector<bool> has_edge(plan_.objects.size());
  for (const std::vector<Proposal>& of_child : proposals) {
    for (const Proposal& proposal : of_child) {
      has_edge[proposal.child] = true;
      for (const uint32_t parent : proposal.parents) has_edge[parent] = true;
    }
  }
  std::vector<std::vector<uint32_t>> left(plan_.variants.size());
  for (uint32_t id = 0; id < plan_.objects.size(); ++id) {
    const PlannedObject& object = plan_.objects[id];
    if (has_edge[id] || object.spec.byte_size < kWorthMatching) continue;
    if (plan_.part(object.place).tensor == kNoTensor) continue;
    const scheme::TensorDesc tensor = TensorOf(id);
    const bool is_matrix = tensor.shape.size() >= 2 && !ModuleOfTensor(tensor.name).empty();
    if (is_matrix) left[object.place.variant].push_back(id);
  }
  return left;
}

// The modules that those objects are in, but for those in `known` and those of too many matrices.
EdgeFinder::Modules EdgeFinder::ModulesOf(const std::vector<uint32_t>& objects,
                                          const ModuleNames& known) const {
  Modules modules;
  for (const uint32_t id : objects) {
    const scheme::TensorDesc tensor = TensorOf(id);
    const std::string_view name = ModuleOfTensor(tensor.name);
    if (known.Has(name)) continue;
    const auto [found, is_new] = modules.by_name.try_emplace(std::string(name));
    found->second.objects.push_back(id);
    found->second.shapes += ShapeKey(tensor);
    if (is_new) modules.names.push_back(found->first);
  }
  std::erase_if(modules.names, [&](const std::string& name) {
    return modules.by_name.find(name)->second.objects.size() > kMostMatrices;
  });
  return modules;
}

Status EdgeFinder::MatchVariants(uint32_t own, const std::vector<uint32_t>& targets, uint32_t other,
                                 const std::vector<uint32_t>& others, const ShareLeft& share_left,
                                 const std::function<Status()>& poll) {
  std::vector<std::string> names;
  for (const uint32_t id : targets) names.emplace_back(ModuleOfTensor(TensorOf(id).name));
  const Modules modules = ModulesOf(others, names_[other][own]);
  std::set<std::pair<std::string, std::string>> strangers;  // Shapes that no scheme joins.
  size_t polled = targets.size();
  const auto fits = [&](size_t target, std::string_view name) -> Result<Match> {
    if (std::exchange(polled, target) != target) QSTORE_TRY(poll());
    const uint32_t id = targets[target];
    if (!MayHaveParents(id)) return Match::kNoEdge;
    const Module& module = modules.by_name.find(name)->second;
    std::pair shapes(ShapeKey(TensorOf(id)), module.shapes);
    if (strangers.contains(shapes)) return Match::kNoEdge;
    QSTORE_ASSIGN(const Match match,
                  Fits(id, names[target], other, name, module.objects, share_left));
    if (match == Match::kNoEdge) strangers.insert(std::move(shapes));
    return match;
  };
  QSTORE_TRY(ModuleMatcher(names, modules.names).Run(fits, &names_[own][other]));
  for (const std::string& name : names) {
    if (const auto found = names_[own][other].Find(name)) names_[other][own].Add(*found, name);
  }
  return {};
}

// Tells by samples whether the tensors of that module explain the object. Words of codes are cut
// for the trial, and stay so where it succeeds.
Result<Match> EdgeFinder::Fits(uint32_t id, std::string_view module, uint32_t other,
                               std::string_view other_module,
                               const std::vector<uint32_t>& other_objects,
                               const ShareLeft& share_left) {
  ModuleNames names;
  ModuleNames inverse;
  names.Add(module, other_module);
  inverse.Add(other_module, module);
  const uint32_t own = plan_.objects[id].place.variant;
  std::vector<std::pair<uint32_t, scheme::ObjectSpec>> before = {{id, plan_.objects[id].spec}};
  for (const uint32_t each : other_objects) before.emplace_back(each, plan_.objects[each].spec);
  Cut(id, other, names);
  for (const uint32_t each : other_objects) Cut(each, own, inverse);

  const std::string_view path = plan_.file(plan_.objects[id].place).path;
  std::vector<Proposal> proposals;
  ProposeFrom(id, other, RenamedTable(&tables_[other].Near(path), &names), &proposals);
  double share = 1;
  if (!proposals.empty()) {
    QSTORE_ASSIGN(share, share_left(id, proposals));
  }
  if (share < kExplained) return Match::kFits;
  for (const auto& [object, spec] : before) plan_.objects[object].spec = spec;
  return proposals.empty() ? Match::kNoEdge : Match::kDiffers;
}

// What is stored stays as it is.
void EdgeFinder::Cut(uint32_t id, uint32_t other, const ModuleNames& names) {
  if (plan_.is_stored(id)) return;
  PlannedObject& object = plan_.objects[id];
  const std::string_view path = plan_.file(object.place).path;
  const RenamedTable table(&tables_[other].Near(path), &names);
  const scheme::TensorTable* others[] = {&table};
  SetPacking(TensorOf(id), tables_[object.place.variant].Near(path), others, plan_.cut_level,
             &object.spec);
}

scheme::TensorDesc EdgeFinder::TensorOf(uint32_t id) const {
  const PartPlace& place = plan_.objects[id].place;
  const SourceFileEntry& file = plan_.file(place);
  const container::Tensor& tensor = file.tensors[file.parts[place.part].tensor];
  return {tensor.name, tensor.dtype, tensor.shape};
}

// Edges from all other variants, whichever come first.
std::vector<Proposal> EdgeFinder::Propose(uint32_t id) const {
  std::vector<Proposal> proposals;
  const PartPlace& place = plan_.objects[id].place;
  for (uint32_t v = 0; v < plan_.variants.size(); ++v) {
    if (v == place.variant || !MayFollow(place.variant, v)) continue;
    const SourceTable& other = tables_[v].Near(plan_.file(place).path);
    if (names_.empty() || names_[place.variant][v].empty()) {
      ProposeFrom(id, v, other, &proposals);
    } else {
      ProposeFrom(id, v, RenamedTable(&other, &names_[place.variant][v]), &proposals);
    }
  }
  for (Proposal& proposal : proposals) proposal.bound.reset();
  return proposals;
}

// Whether tensors of the one variant may have parents of the other.
bool EdgeFinder::MayFollow(uint32_t own, uint32_t other) const {
  return !FollowsFrom(other, own) && plan_.fixed_parents[own].value_or(other) == other;
}

// `other` is the table of variant `v`, by whichever names.
void EdgeFinder::ProposeFrom(uint32_t id, uint32_t v, const scheme::TensorTable& other,
                             std::vector<Proposal>* proposals) const {
  const PlannedObject& object = plan_.objects[id];
  const uint32_t own = object.place.variant;
  const std::string_view path = plan_.file(object.place).path;
  const SourceTable& own_table = tables_[own].Near(path);
  const scheme::TensorDesc target = TensorOf(id);
  std::vector<scheme::Edge> edges;
  for (const scheme::Scheme* each : scheme::Schemes()) {
    each->Detect(target, own_table, other, &edges);
  }
  AddProposals(id, v, std::nullopt, &edges, proposals);
  for (const Side& side : sides_) {
    if (side.variant != own && !MayFollow(own, side.variant)) continue;
    edges.clear();
    side.scheme->DetectWith(target, own_table, other, tables_[side.variant].all(), &edges);
    AddProposals(id, v, side.variant, &edges, proposals);
  }
}

void EdgeFinder::AddProposals(uint32_t id, uint32_t v, std::optional<uint32_t> side,
                              std::vector<scheme::Edge>* edges,
                              std::vector<Proposal>* proposals) const {
  const PlannedObject& object = plan_.objects[id];
  const uint32_t own = object.place.variant;
  const std::string_view path = plan_.file(object.place).path;
  const auto object_of = [&](const scheme::ParentRef& parent) {
    if (parent.is_side) return ObjectOf(*side, tables_[*side].all().place(parent.tensor));
    const uint32_t variant = parent.is_own ? own : v;
    return ObjectOf(variant, tables_[variant].Near(path).place(parent.tensor));
  };
  for (scheme::Edge& edge : *edges) {
    if (level_ < edge.from_level) continue;
    Proposal proposal{id,      0, edge.scheme->id(), std::move(edge.params), {},
                      nullptr, 0, edge.is_fallback};
    for (const scheme::ParentRef& parent : edge.parents) {
      proposal.parents.push_back(object_of(parent));
    }
    proposal.chunk_elems = ChunkElems(object.spec, edge, proposal);
    // Variants may have the same object.
    const bool is_known = std::any_of(proposals->begin(), proposals->end(), [&](const auto& each) {
      return each.scheme_id == proposal.scheme_id && each.params == proposal.params &&
             each.parents == proposal.parents;
    });
    if (!is_known && Bind(&proposal)) proposals->push_back(std::move(proposal));
  }
}

// Whether the parents given say that the one variant follows from the other, by way of any.
bool EdgeFinder::FollowsFrom(uint32_t variant, uint32_t ancestor) const {
  while (plan_.fixed_parents[variant]) {
    variant = *plan_.fixed_parents[variant];
    if (variant == ancestor) return true;
  }
  return false;
}

uint32_t EdgeFinder::ObjectOf(uint32_t variant, const TensorPlace& place) const {
  const SourceFileEntry& file = plan_.variants[variant].files[place.file];
  return file.parts[file.tensors[place.tensor].part].object;
}

uint64_t EdgeFinder::ChunkElems(const scheme::ObjectSpec& child, const scheme::Edge& edge,
                                const Proposal& proposal) const {
  if (!edge.follows_chunks) return child.chunk_elems;
  const scheme::ObjectSpec& parent = plan_.objects[proposal.parents[0]].spec;
  const uint64_t per_elem = parent.elem_count() / std::max<uint64_t>(1, child.elem_count());
  return std::max<uint64_t>(1, parent.chunk_elems / std::max<uint64_t>(1, per_elem));
}

bool EdgeFinder::Bind(Proposal* proposal) const {
  const PlannedObject& object = plan_.objects[proposal->child];
  const uint32_t self = plan_.part(object.place).object;
  std::vector<scheme::ObjectSpec> parents;
  for (const uint32_t parent : proposal->parents) {
    if (parent == self) return false;
    parents.push_back(plan_.objects[parent].spec);
  }
  const scheme::ObjectSpec spec = SpecUnder(object, *proposal);
  auto bound = scheme::BindScheme(proposal->scheme_id, spec, parents, proposal->params);
  if (!bound.ok()) return false;
  proposal->bound = std::move(bound).value();
  return true;
}

}  // namespace qstore::store
