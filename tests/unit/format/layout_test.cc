// SPDX-License-Identifier: Apache-2.0
#include "format/layout.h"

#include <gtest/gtest.h>

#include "format/limits.h"

namespace qstore::format {
namespace {

std::vector<std::byte> EncodedHeader(uint16_t version, uint32_t flags) {
  std::vector<std::byte> bytes;
  Header header;
  header.format_version = version;
  header.feature_flags = flags;
  header.EncodeTo(&bytes);
  return bytes;
}

TEST(Header, VersionsAndFeatures) {
  EXPECT_EQ(EncodedHeader(1, 0).size(), Header::kEncodedSize);
  EXPECT_TRUE(Header::DecodeFrom(EncodedHeader(1, 0)).ok());
  const auto code = [](const std::vector<std::byte>& bytes) {
    return Header::DecodeFrom(bytes).status().code();
  };
  EXPECT_EQ(code(EncodedHeader(2, 0)), ErrorCode::kUnsupportedVersion);
  EXPECT_EQ(code(EncodedHeader(0, 0)), ErrorCode::kCorrupt);
  EXPECT_EQ(code(EncodedHeader(1, 0x80000000)), ErrorCode::kUnsupportedFeature);
}

TEST(Header, EveryBitCounts) {
  const auto good = EncodedHeader(1, 0);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_EQ(Header::DecodeFrom(bad).status().code(), ErrorCode::kCorrupt) << bit;
  }
}

// A header with these roots, of which one may be torn.
Result<Header> Reread(const Root& first, const Root& second, size_t torn = SIZE_MAX) {
  Header header;
  header.roots = {first, second};
  std::vector<std::byte> bytes;
  header.EncodeTo(&bytes);
  if (torn < 2) bytes[24 + 24 * torn + 3] ^= std::byte{1};
  return Header::DecodeFrom(bytes);
}

TEST(Header, TheLaterRootSaysWhereTheArchiveEnds) {
  EXPECT_EQ(*Reread({}, {})->ArchiveSize(5000), 5000u);
  EXPECT_FALSE(Reread({}, {})->has_root());
  EXPECT_EQ(*Reread({1, 900}, {})->ArchiveSize(5000), 900u);
  EXPECT_EQ(*Reread({1, 900}, {2, 700})->ArchiveSize(5000), 700u);
  EXPECT_EQ(*Reread({3, 900}, {2, 700})->ArchiveSize(900), 900u);
  EXPECT_EQ(Reread({3, 900}, {2, 700})->ArchiveSize(899).status().code(), ErrorCode::kCorrupt);
}

TEST(Header, ATornRootLeavesTheOther) {
  EXPECT_EQ(*Reread({1, 900}, {2, 700}, 1)->ArchiveSize(5000), 900u);
  EXPECT_EQ(*Reread({3, 900}, {2, 700}, 0)->ArchiveSize(5000), 700u);
  EXPECT_EQ(Reread({1, 900}, {}, 0).status().code(), ErrorCode::kCorrupt);
}

Footer SampleFooter() {
  Footer footer;
  footer.index_offset = 1000;
  footer.index_stored_size = 50;
  footer.index_raw_size = 70;
  footer.index_checksum = 5;
  footer.archive_size = 1000 + 50 + Footer::kEncodedSize;
  return footer;
}

Status Decode(const Footer& footer, uint64_t actual) {
  std::vector<std::byte> bytes;
  footer.EncodeTo(&bytes);
  EXPECT_EQ(bytes.size(), Footer::kEncodedSize);
  return Footer::DecodeFrom(bytes, actual).status();
}

TEST(Footer, RulesAreChecked) {
  Footer footer = SampleFooter();
  EXPECT_TRUE(Decode(footer, footer.archive_size).ok());
  EXPECT_EQ(Decode(footer, footer.archive_size + 1).code(), ErrorCode::kCorrupt);
  footer.index_offset = 999;
  EXPECT_EQ(Decode(footer, footer.archive_size).code(), ErrorCode::kCorrupt);
  footer.index_offset = 10;
  footer.index_stored_size = 1040;
  EXPECT_EQ(Decode(footer, footer.archive_size).code(), ErrorCode::kCorrupt);
  footer = SampleFooter();
  footer.index_stored_size = UINT64_MAX;
  EXPECT_EQ(Decode(footer, footer.archive_size).code(), ErrorCode::kCorrupt);
  footer = SampleFooter();
  footer.index_raw_size = 50 * kMaxIndexExpansion + kMaxIndexExpansion;
  EXPECT_EQ(Decode(footer, footer.archive_size).code(), ErrorCode::kCorrupt);
  footer.index_raw_size = kMaxIndexBytes + 1;
  EXPECT_EQ(Decode(footer, footer.archive_size).code(), ErrorCode::kLimit);
  for (const uint64_t more : {0u, 1u}) {
    footer = SampleFooter();
    footer.index_stored_size = kMaxStoredIndexBytes + more;
    footer.archive_size = footer.index_offset + footer.index_stored_size + Footer::kEncodedSize;
    EXPECT_EQ(Decode(footer, footer.archive_size).code(),
              more == 0 ? ErrorCode::kOk : ErrorCode::kLimit);
  }
}

TEST(Footer, EveryBitCounts) {
  std::vector<std::byte> good;
  const Footer footer = SampleFooter();
  footer.EncodeTo(&good);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    auto bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    EXPECT_EQ(Footer::DecodeFrom(bad, footer.archive_size).status().code(), ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace qstore::format
