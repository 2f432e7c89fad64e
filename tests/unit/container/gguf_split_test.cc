// SPDX-License-Identifier: Apache-2.0
#include "container/gguf/gguf_split.h"

#include <gtest/gtest.h>

namespace qstore::container {
namespace {

TEST(GgufSplit, NumberedFilesAreParts) {
  const ModelPart part = GgufPartOf("models/m-Q4_K-00002-of-00013");
  EXPECT_EQ(part.model, "models/m-Q4_K");
  EXPECT_EQ(part.number, 2U);
  EXPECT_EQ(part.count, 13U);
  EXPECT_EQ(GgufPathOf(part, 13), "models/m-Q4_K-00013-of-00013");
}

TEST(GgufSplit, OtherNamesAreOneFile) {
  for (const char* path : {"m", "m-00000-of-00003", "m-00004-of-00003", "m-0001-of-0003",
                           "-00001-of-00003", "a/-00001-of-00003", "m-00001_of_00003",
                           "m_00001-of-00003", "m-+0001-of-00003", "m-00001-of-0000x"}) {
    const ModelPart part = GgufPartOf(path);
    EXPECT_EQ(part.count, 0U) << path;
    EXPECT_EQ(part.model, path);
    EXPECT_EQ(GgufPathOf(part, 1), path);
  }
}

}  // namespace
}  // namespace qstore::container
