// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <vector>

namespace qstore::base {
namespace {

TEST(Bytes, FieldsComeBackInOrder) {
  std::vector<std::byte> bytes;
  ByteWriter writer(&bytes);
  writer.Fixed<uint32_t>(0x01020304);
  writer.Varint(300);
  writer.Varint(std::numeric_limits<uint64_t>::max());
  writer.String("name");
  EXPECT_EQ(bytes[0], std::byte{4});
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Fixed<uint32_t>(), 0x01020304u);
  EXPECT_EQ(reader.Varint(), 300u);
  EXPECT_EQ(reader.Varint(), std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(reader.String(), "name");
  EXPECT_TRUE(reader.ok());
  EXPECT_EQ(reader.remaining(), 0u);
}

TEST(Bytes, ReadingPastTheEndSticks) {
  const std::vector<std::byte> bytes(3);
  ByteReader reader(bytes);
  EXPECT_EQ(reader.Fixed<uint32_t>(), 0u);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Fixed<uint8_t>(), 0u);
  EXPECT_FALSE(reader.ok());
}

TEST(Bytes, OverlongVarintIsRefused) {
  const std::vector<std::byte> bytes(11, std::byte{0xff});
  ByteReader reader(bytes);
  reader.Varint();
  EXPECT_FALSE(reader.ok());
}

// The number that these bytes spell, or nothing when they are no varint.
std::optional<uint64_t> VarintOf(const std::vector<uint8_t>& bytes) {
  ByteReader reader(std::as_bytes(std::span(bytes)));
  const uint64_t value = reader.Varint();
  if (!reader.ok()) return std::nullopt;
  EXPECT_EQ(reader.remaining(), 0u);
  return value;
}

TEST(Bytes, AVarintHasOneSpelling) {
  EXPECT_EQ(VarintOf({0}), 0u);
  EXPECT_EQ(VarintOf({0x80, 1}), 128u);
  EXPECT_EQ(VarintOf({0x80, 0x80, 1}), uint64_t{1} << 14);
  const std::vector<uint8_t> top = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1};
  EXPECT_EQ(VarintOf(top), uint64_t{1} << 63);
  EXPECT_EQ(VarintOf({0x80, 0}), std::nullopt);
  EXPECT_EQ(VarintOf({5 | 0x80, 0}), std::nullopt);
  EXPECT_EQ(VarintOf({0xff, 0x80, 0}), std::nullopt);
  auto padded = top;
  padded.back() = 0;
  EXPECT_EQ(VarintOf(padded), std::nullopt);
  padded.back() = 2;
  EXPECT_EQ(VarintOf(padded), std::nullopt) << "beyond 64 bits";
}

}  // namespace
}  // namespace qstore::base
