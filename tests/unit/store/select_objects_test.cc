// SPDX-License-Identifier: Apache-2.0
#include "store/select_objects.h"

#include <gtest/gtest.h>

#include "unit/format/sample_index.h"

namespace qstore::store {
namespace {

using Objects = std::vector<uint32_t>;

TEST(SelectObjects, AVariantNeedsItsFilesAndTheirAncestors) {
  const format::Index index = format::SampleIndex();
  EXPECT_EQ(ObjectsNeeded(index, {true, true}), (Objects{0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(ObjectsNeeded(index, {true, false}), (Objects{0, 1, 2, 3, 4}));
  EXPECT_EQ(ObjectsNeeded(index, {false, true}), (Objects{0, 2, 3, 5, 6}));
}

TEST(SelectObjects, WhatIsLeftKeepsItsPayloadsAndGetsNewNumbers) {
  const format::Index index = format::SampleIndex();
  const format::Index rest = SelectObjects(index, {false, true}, Objects{0, 2, 3, 5, 6});
  ASSERT_EQ(rest.variants.size(), 1u);
  EXPECT_EQ(rest.variants[0].name, "bf16");
  EXPECT_EQ(rest.variants[0].files.size(), 2u);
  EXPECT_EQ(rest.parts, (Objects{0, 3, 4}));
  ASSERT_EQ(rest.tensors.size(), 1u);
  EXPECT_EQ(rest.tensors[0].part, 2u);
  EXPECT_EQ(rest.dims, (std::vector<uint64_t>{3, 4}));
  ASSERT_EQ(rest.objects.size(), 5u);
  EXPECT_EQ(rest.parents, (Objects{2, 1}));
  const format::ObjectEntry& child = rest.objects[4];
  EXPECT_EQ(child.scheme, 1u);
  EXPECT_EQ(rest.chunks[child.first_chunk].offset,
            index.chunks[index.objects[6].first_chunk].offset);
  // Payloads of 100 and 0 bytes are gone: as a later generation alone may have it.
  format::Footer footer = format::FooterFor(index);
  const auto stored = format::EncodeIndex(rest, &footer);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(format::DecodeIndex(*stored, footer).status().code(), ErrorCode::kCorrupt);
  const auto back = format::DecodeIndex(*stored, footer, UINT64_MAX, format::Gaps::kAllowed);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  EXPECT_EQ(back->chunks.back().offset, index.chunks.back().offset);
}

// The scales and codes of int8, which bf16 follows from, come first; then bf16's own objects.
TEST(SelectObjects, ANewArchiveHasParentsOfNoFileBeforeTheVariant) {
  const format::Index index = format::SampleIndex();
  EXPECT_EQ(OrderOfNewArchive(index), (Objects{0, 1, 2, 3, 4, 5, 6}));
  const format::Index rest = SelectObjects(index, {false, true}, Objects{0, 2, 3, 5, 6});
  EXPECT_EQ(OrderOfNewArchive(rest), (Objects{1, 2, 0, 3, 4}));
}

TEST(SelectObjects, ANewArchiveHasFilesWithoutStructureFirst) {
  format::Index index = format::SampleIndex();
  std::swap(index.parts[0], index.parts[1]);
  index.files[0].container = ContainerId{1};
  index.files[1].container = kNoContainer;
  index.files[0].parts = {0, 1};
  const Objects order = OrderOfNewArchive(index);
  EXPECT_EQ(order, (Objects{0, 2, 3, 4, 1, 5, 6}));
}

}  // namespace
}  // namespace qstore::store
