// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

#include "base/isa.h"
#include "base/kernels/hash_kernels.h"

namespace qstore::base {
namespace {

std::vector<std::byte> Noise(size_t count) {
  std::mt19937 random(11);
  std::vector<std::byte> bytes(count);
  for (auto& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// What `xxhsum -H3` prints.
TEST(Hash64, KnownValues) {
  EXPECT_EQ(Hash64({}), 0x2d06800538d394c2u);
  EXPECT_EQ(Hash64(Bytes("qstore")), kScalarHash.hash64("qstore", 6));
}

TEST(Hash64, EveryInstructionSetAgrees) {
  const auto bytes = Noise(100'000);
  for (size_t size : {0, 1, 16, 17, 128, 240, 241, 1023, 1024, 1025, 4096, 65'537, 100'000}) {
    const uint64_t expected = kScalarHash.hash64(bytes.data(), size);
    EXPECT_EQ(Hash64(std::span(bytes).first(size)), expected) << size;
#if defined(QSTORE_X86_KERNELS)
    if (HasIsa(Isa::kAvx2)) {
      EXPECT_EQ(kAvx2Hash.hash64(bytes.data(), size), expected) << size;
    }
    if (HasIsa(Isa::kAvx512)) {
      EXPECT_EQ(kAvx512Hash.hash64(bytes.data(), size), expected) << size;
    }
#endif
  }
}

TEST(Hasher128, PiecesMakeTheWhole) {
  const auto bytes = Noise(100'000);
  Hasher128 whole;
  whole.Update(bytes);
  for (size_t piece : {1000, 4096, 33'333}) {
    Hasher128 pieces;
    for (size_t i = 0; i < bytes.size(); i += piece) {
      pieces.Update(std::span(bytes).subspan(i, std::min(piece, bytes.size() - i)));
    }
    EXPECT_EQ(pieces.Finish(), whole.Finish()) << piece;
  }
  Hasher128 none;
  // XXH3-128 of nothing, in canonical order.
  EXPECT_EQ(none.Finish(), (Digest128{0x99, 0xaa, 0x06, 0xd3, 0x01, 0x47, 0x98, 0xd8, 0x60, 0x01,
                                      0xc3, 0x24, 0x46, 0x8d, 0x49, 0x7f}));
}

}  // namespace
}  // namespace qstore::base
