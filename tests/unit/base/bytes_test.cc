// SPDX-License-Identifier: Apache-2.0
#include "base/bytes.h"

#include <gtest/gtest.h>

#include <limits>

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

}  // namespace
}  // namespace qstore::base
