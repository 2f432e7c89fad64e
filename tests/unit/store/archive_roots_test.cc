// SPDX-License-Identifier: Apache-2.0
// Archives of several generations: which bytes of the file count.
#include <gtest/gtest.h>

#include "format/layout.h"
#include "qstore/verify.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

class Roots : public ::testing::Test {
 protected:
  Roots() {
    WritePair(dir_ / "high", dir_ / "low");
    PackAndOpen({{"high", dir_ / "high"}, {"low", dir_ / "low"}}, dir_ / "m.qstore");
    good_ = ReadFile(dir_ / "m.qstore");
  }
  // The archive with these roots in its header and bytes behind it.
  Status Verified(const format::Root& first, const format::Root& second,
                  const std::string& behind) const {
    std::vector<std::byte> header;
    format::Header().EncodeTo(&header);
    header.erase(header.end() - 2 * static_cast<ptrdiff_t>(format::Root::kEncodedSize),
                 header.end());
    first.EncodeTo(&header);
    second.EncodeTo(&header);
    std::string bytes = good_ + behind;
    bytes.replace(0, header.size(), reinterpret_cast<const char*>(header.data()), header.size());
    WriteFile(dir_ / "edited.qstore", bytes);
    const auto archive = Archive::Open(dir_ / "edited.qstore");
    if (!archive.ok()) return archive.status();
    EXPECT_EQ(archive->stored_bytes(), good_.size());
    return Verify(*archive, std::vector<VariantSource>{{"high", dir_ / "high"}}).status();
  }

  TempDir dir_;
  std::string good_;
};

TEST_F(Roots, BytesBeyondTheLaterRootAreIgnored) {
  const uint64_t size = good_.size();
  EXPECT_EQ(Verified({}, {}, "behind").code(), ErrorCode::kCorrupt);
  EXPECT_TRUE(Verified({1, size}, {}, "").ok());
  EXPECT_TRUE(Verified({1, size}, {}, "an append that was cut short").ok());
  EXPECT_TRUE(Verified({4, size}, {3, 1 << 20}, "behind").ok());
  // Even a whole archive, which a tensor may hold as well.
  EXPECT_TRUE(Verified({1, size}, {}, good_).ok());
}

TEST_F(Roots, AFileThatIsShorterIsCorrupt) {
  const uint64_t size = good_.size();
  EXPECT_EQ(Verified({1, size + 1}, {}, "").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(Verified({1, size}, {2, size + 100}, "behind").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(Verified({1, 100}, {}, "").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(Verified({1, size - 1}, {}, "").code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace qstore
