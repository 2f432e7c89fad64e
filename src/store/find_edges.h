// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"
#include "scheme/scheme.h"
#include "store/match_modules.h"
#include "store/module_names.h"
#include "store/pack_plan.h"
#include "store/source_model.h"

namespace qstore::store {

/// Parents that an object may have.
struct Proposal {
  uint32_t child = 0;
  double bytes = 0;  ///< What the child then takes.
  SchemeId scheme_id = kNoScheme;
  std::vector<std::byte> params;
  std::vector<uint32_t> parents;
  std::shared_ptr<const scheme::Bound> bound;  ///< Null where it need not be at hand.
  uint64_t chunk_elems = 0;                    ///< Of the child, cut for these parents.
  bool is_fallback = false;                    ///< As scheme::Edge has it.
};
using Proposals = std::vector<std::vector<Proposal>>;  // By object.

/// Finds edges between tensors of different variants: by the names of their modules, and where
/// these say nothing by trying what explains what.
class EdgeFinder {
 public:
  /// `plan` has its objects and outlives this.
  EdgeFinder(PackPlan* plan, Level level);

  /// Whether the object is a new tensor with content and no direct variant has it.
  bool MayHaveParents(uint32_t id) const;
  /// Edges from all other variants, whichever come first, without bounds: there are many of them.
  /// REQUIRES: MayHaveParents.
  std::vector<Proposal> Propose(uint32_t id) const;
  /// Binds the child to its parents. False when the format does not allow these.
  bool Bind(Proposal* proposal) const;

  /// The share of an object's bytes that it takes with the best of those parents, by samples.
  using ShareLeft =
      std::function<Result<double>(uint32_t id, const std::vector<Proposal>& proposals)>;
  /// Where names say nothing: modules of two variants that have no edges, and of which one explains
  /// the other, are one module under two names. Adds the edges of these, and cuts words of codes as
  /// their weights are. Errors: those of `share_left` and of `poll`, which is called again and
  /// again.
  Status MatchModules(const ShareLeft& share_left, const std::function<Status()>& poll,
                      Proposals* proposals);

 private:
  void FindDirect();
  scheme::TensorDesc TensorOf(uint32_t id) const;
  bool MayFollow(uint32_t own, uint32_t other) const;
  bool FollowsFrom(uint32_t variant, uint32_t ancestor) const;
  void ProposeFrom(uint32_t id, uint32_t variant, const scheme::TensorTable& other,
                   std::vector<Proposal>* proposals) const;
  uint32_t ObjectOf(uint32_t variant, const TensorPlace& place) const;
  void AddProposals(uint32_t id, uint32_t variant, std::optional<uint32_t> side,
                    std::vector<scheme::Edge>* edges, std::vector<Proposal>* proposals) const;
  uint64_t ChunkElems(const scheme::ObjectSpec& child, const scheme::Edge& edge,
                      const Proposal& proposal) const;

  struct Module {
    std::vector<uint32_t> objects;
    std::string shapes;  // And types, of all of them.
  };
  struct Modules {
    std::vector<std::string> names;  // In the order of the files.
    std::map<std::string, Module, std::less<>> by_name;
  };

  Modules ModulesOf(const std::vector<uint32_t>& objects, const ModuleNames& known) const;
  std::vector<std::vector<uint32_t>> WithoutEdges(const Proposals& proposals) const;
  Status MatchVariants(uint32_t own, const std::vector<uint32_t>& targets, uint32_t other,
                       const std::vector<uint32_t>& others, const ShareLeft& share_left,
                       const std::function<Status()>& poll);
  Result<Match> Fits(uint32_t id, std::string_view module, uint32_t other,
                     std::string_view other_module, const std::vector<uint32_t>& other_objects,
                     const ShareLeft& share_left);
  void Cut(uint32_t id, uint32_t other, const ModuleNames& names);
  std::vector<uint32_t> CutRenamed();

  PackPlan& plan_;
  Level level_;
  std::vector<SourceTables> tables_;             // By variant.
  std::vector<std::vector<ModuleNames>> names_;  // By variant, then the other one.
  std::vector<bool> is_direct_;                  // By object.
  struct Side {
    uint32_t variant;
    const scheme::Scheme* scheme;
  };
  std::vector<Side> sides_;
};

}  // namespace qstore::store
