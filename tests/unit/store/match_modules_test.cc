// SPDX-License-Identifier: Apache-2.0
#include "store/match_modules.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

namespace qstore::store {
namespace {

using Names = std::vector<std::string>;

// Modules match where the numbers in their names are equal.
struct Matching {
  ModuleNames names;
  size_t trials = 0;
  Status status;
};

Matching RunOn(const Names& targets, const Names& others) {
  Matching matching;
  const auto number = [](std::string_view name) {
    return std::string(name.substr(name.find_first_of("0123456789")));
  };
  matching.status = ModuleMatcher(targets, others)
                        .Run(
                            [&](size_t target, std::string_view other) -> Result<Match> {
                              ++matching.trials;
                              const bool fits = number(targets[target]) == number(other);
                              return fits ? Match::kFits : Match::kDiffers;
                            },
                            &matching.names);
  return matching;
}

Names Numbered(const std::string& prefix, size_t count) {
  Names names;
  for (size_t i = 0; i < count; ++i) names.push_back(prefix + std::to_string(i));
  return names;
}

size_t Found(const Matching& matching, const Names& targets) {
  return static_cast<size_t>(std::count_if(
      targets.begin(), targets.end(), [&](const auto& name) { return matching.names.Has(name); }));
}

TEST(ModuleMatcher, TriesTheNextOneFirst) {
  const Names targets = Numbered("a.b", 1000);
  const Matching matching = RunOn(targets, Numbered("c.d", 1000));
  EXPECT_EQ(Found(matching, targets), 1000u);
  EXPECT_EQ(matching.trials, 1000u);
  EXPECT_EQ(matching.names.Find("a.b17"), "c.d17");
}

TEST(ModuleMatcher, TriesWhatEndsAlikeBeforeThat) {
  Names targets;
  Names others;
  std::vector<size_t> order(100);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), std::mt19937(3));
  for (const size_t i : order) targets.push_back("x.layers." + std::to_string(i));
  for (size_t i = 0; i < 100; ++i) others.push_back("y.z.layers." + std::to_string(i));
  const Matching matching = RunOn(targets, others);
  EXPECT_EQ(Found(matching, targets), 100u);
  EXPECT_EQ(matching.trials, 100u);
}

TEST(ModuleMatcher, PassesOverModulesThatOnlyOneHas) {
  const Names targets = {"a1", "a2", "a3", "a3", "a7", "a8"};
  const Matching matching = RunOn(targets, {"b0", "b1", "b3", "b4", "b5", "b8"});
  EXPECT_EQ(matching.names.Find("a1"), "b1");
  EXPECT_EQ(matching.names.Find("a3"), "b3");
  EXPECT_EQ(matching.names.Find("a8"), "b8");
  EXPECT_EQ(Found(matching, {"a2", "a7"}), 0u);
}

TEST(ModuleMatcher, GivesUpWhereNothingFits) {
  const Names targets = Numbered("a.b1000", 500);
  const Matching matching = RunOn(targets, Numbered("c.d2000", 500));
  EXPECT_EQ(Found(matching, targets), 0u);
  EXPECT_EQ(matching.trials, 64u);
}

TEST(ModuleMatcher, TellsErrors) {
  ModuleNames names;
  const auto fails = [](size_t, std::string_view) -> Result<Match> { return Cancelled(); };
  EXPECT_EQ(ModuleMatcher({"a"}, {"b"}).Run(fails, &names).code(), ErrorCode::kCancelled);
  EXPECT_TRUE(ModuleMatcher({"a"}, {}).Run(fails, &names).ok());
  EXPECT_TRUE(ModuleMatcher({}, {"b"}).Run(fails, &names).ok());
}

TEST(ModuleNames, AreThoseBeforeTheTensorsOwn) {
  for (const auto& [name, module] : std::vector<std::pair<std::string, std::string>>{
           {"a.b.weight", "a.b"},
           {"a.b.weight_packed", "a.b"},
           {"a.b.weight.absmax", "a.b"},
           {"a.b.weight.quant_state.bitsandbytes__nf4", "a.b"},
           {"a.b.qweight", "a.b"},
           {"a.experts.gate_up_proj_blocks", "a.experts"},
           {"a.weights.scale", "a.weights"},
           {"weight", ""},
           {".weight", ""},
           {"", ""}}) {
    EXPECT_EQ(ModuleOfTensor(name), module) << name;
  }
}

TEST(ModuleNames, TheInnermostModuleIsTranslated) {
  ModuleNames names;
  names.Add("a.b", "x");
  names.Add("a.b.c", "y.z");
  EXPECT_EQ(names.Translate("a.b.weight"), "x.weight");
  EXPECT_EQ(names.Translate("a.b.c.weight.absmax"), "y.z.weight.absmax");
  EXPECT_EQ(names.Translate("a.b.d.weight"), "x.d.weight");
  EXPECT_EQ(names.Translate("a.bc.weight"), std::nullopt);
  EXPECT_EQ(names.Translate("a.b"), std::nullopt);
  EXPECT_EQ(names.Translate(""), std::nullopt);
  EXPECT_EQ(names.Translate("."), std::nullopt);
}

}  // namespace
}  // namespace qstore::store
