// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "qstore/archive.h"

namespace qstore {
namespace {

TEST(OpenOptions, EveryReadIsAnnounced) {
  std::atomic<uint64_t> announced{0};
  OpenOptions options;
  options.before_read = [&](uint64_t bytes) { announced += bytes; };
  const auto path = std::filesystem::path(QSTORE_GOLDEN) / "valid" / "pair.qstore";
  const auto archive = Archive::Open(path, options);
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  EXPECT_GT(announced, 0u);
  EXPECT_EQ(announced, archive->bytes_read());

  std::vector<std::vector<std::byte>> contents;
  std::vector<ReadRequest> requests;
  for (size_t v = 0; v < archive->variant_count(); ++v) {
    const VariantInfo variant = archive->variant(v);
    for (size_t t = 0; t < variant.tensor_count; ++t) {
      contents.emplace_back(archive->tensor(variant.first_tensor + t).byte_size);
      requests.push_back({variant.first_tensor + t, contents.back()});
    }
  }
  const uint64_t opening = announced;
  const Status status = archive->Read(requests);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_GT(announced, opening);
  EXPECT_EQ(announced, archive->bytes_read());
}

TEST(InstructionSet, IsOneOfThoseKnown) {
  const std::string name(InstructionSet());
  EXPECT_TRUE(name == "scalar" || name == "avx2" || name == "avx512") << name;
}

}  // namespace
}  // namespace qstore
