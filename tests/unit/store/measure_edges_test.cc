// SPDX-License-Identifier: Apache-2.0
#include "store/measure_edges.h"

#include <gtest/gtest.h>

#include <memory>

namespace qstore::store {
namespace {

constexpr uint32_t kMany = 40;

// Tensors of one shape in two variants: object i of the first may follow from that of the second.
struct Alike {
  PackPlan plan;
  Proposals proposals;

  Alike() : proposals(2 * size_t{kMany}) {
    for (uint32_t id = 0; id < 2 * kMany; ++id) {
      PlannedObject object;
      object.place.variant = id / kMany;
      object.spec.byte_size = 4096;
      object.spec.row_elems = 64;
      object.spec.chunk_elems = 2048;
      object.spec.dtype = DType::kBF16;
      plan.objects.push_back(object);
      if (id >= kMany) continue;
      Proposal proposal;
      proposal.child = id;
      proposal.scheme_id = 1;
      proposal.parents = {kMany + id};
      proposal.chunk_elems = 2048;
      proposals[id].push_back(proposal);
    }
  }

  // What is measured of each object, by a function of its number.
  template <class Given>
  std::unique_ptr<AlikeEdges> Measured(const Given& given) {
    auto edges = std::make_unique<AlikeEdges>(&plan, proposals);
    for (uint32_t id = 0; id < kMany; ++id) {
      if (edges->IsMeasured(id)) edges->Add(id, proposals[id], {1000, {given(id)}});
    }
    return edges;
  }
};

TEST(AlikeEdges, FewOfManyAreMeasured) {
  Alike alike;
  const auto edges = alike.Measured([](uint32_t) { return 100.0; });
  uint32_t measured = 0;
  for (uint32_t id = 0; id < kMany; ++id) measured += edges->IsMeasured(id) ? 1 : 0;
  EXPECT_GE(measured, 8u);
  EXPECT_LE(measured, 12u);
  EXPECT_FALSE(edges->IsMeasured(kMany)) << "has no edges";
}

TEST(AlikeEdges, OthersTakeTheMiddle) {
  Alike alike;
  const auto edges = alike.Measured([](uint32_t id) { return id % 2 == 0 ? 100.0 : 110.0; });
  const auto known = edges->Find(9, alike.proposals[9]);
  ASSERT_TRUE(known.has_value());
  EXPECT_EQ(known->alone, 1000);
  ASSERT_EQ(known->given.size(), 1u);
  EXPECT_EQ(known->given[0], 105);
}

TEST(AlikeEdges, NothingIsKnownWhereSomeDiffer) {
  Alike alike;
  const auto edges = alike.Measured([](uint32_t id) { return id == 32 ? 990.0 : 100.0; });
  EXPECT_FALSE(edges->Find(9, alike.proposals[9]).has_value());
}

TEST(AlikeEdges, NothingIsKnownWhereTheGainIsInDoubt) {
  Alike alike;
  const auto edges = alike.Measured([](uint32_t id) { return id % 2 == 0 ? 975.0 : 985.0; });
  EXPECT_FALSE(edges->Find(9, alike.proposals[9]).has_value());
}

TEST(AlikeEdges, OtherShapesAndOtherEdgesAreNotAlike) {
  Alike alike;
  alike.plan.objects[9].spec.row_elems = 32;
  alike.proposals[10][0].params.resize(1);
  alike.plan.objects[kMany + 11].spec.chunk_elems = 1024;
  const auto edges = alike.Measured([](uint32_t) { return 100.0; });
  for (const uint32_t id : {9, 10, 11}) {
    EXPECT_TRUE(edges->IsMeasured(id)) << id << " is the first of its kind";
  }
  EXPECT_FALSE(edges->Find(9, alike.proposals[9]).has_value()) << "one alone tells nothing";
  EXPECT_TRUE(edges->Find(12, alike.proposals[12]).has_value());
}

}  // namespace
}  // namespace qstore::store
