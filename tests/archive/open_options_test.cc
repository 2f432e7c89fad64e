// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "archive/scratch_dir.h"
#include "qstore/archive.h"
#include "qstore/byte_source.h"

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

// What a program outside the library may derive.
class Memory final : public ByteSource {
 public:
  explicit Memory(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size() || out.size() > size() - offset) return IoError("outside");
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }

 private:
  std::string bytes_;
};

TEST(OpenSource, LoadsWhatTheFileHas) {
  const auto path = std::filesystem::path(QSTORE_GOLDEN) / "valid" / "pair.qstore";
  const auto file = Archive::Open(path);
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  for (const unsigned read_ahead : {0U, 2U}) {
    OpenOptions options;
    options.read_ahead = read_ahead;
    const auto source = std::make_shared<const Memory>(testing::ReadFile(path));
    const auto archive = Archive::Open(source, "memory", options);
    ASSERT_TRUE(archive.ok()) << archive.status().ToString();
    EXPECT_EQ(archive->path(), "memory");
    const size_t variants[] = {0, 1};
    const auto expected = file->Load(variants);
    const auto loaded = archive->Load(variants);
    ASSERT_TRUE(expected.ok() && loaded.ok()) << loaded.status().ToString();
    ASSERT_EQ(loaded->size(), expected->size());
    for (size_t i = 0; i < loaded->size(); ++i) {
      EXPECT_TRUE(std::ranges::equal(loaded->content(i), expected->content(i))) << i;
    }
  }
}

TEST(InstructionSet, IsOneOfThoseKnown) {
  const std::string name(InstructionSet());
  EXPECT_TRUE(name == "scalar" || name == "avx2" || name == "avx512") << name;
}

}  // namespace
}  // namespace qstore
