// SPDX-License-Identifier: Apache-2.0
#include "qstore/page_memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/page_memory.h"

namespace qstore {
namespace {

uintptr_t Address(const PageMemory& memory) {
  return reinterpret_cast<uintptr_t>(memory.bytes().data());
}

bool IsZero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte byte) { return byte == std::byte{}; });
}

TEST(PageMemory, BeginsAtAPageAndFromFourMegabytesAtAHugeOne) {
  for (const size_t size : {size_t{1}, size_t{5000}, (size_t{4} << 20) - 1}) {
    const auto memory = PageMemory::Allocate(size);
    ASSERT_TRUE(memory.ok());
    EXPECT_EQ(Address(*memory) % 4096, 0U);
    EXPECT_EQ(memory->bytes().size(), size);
    EXPECT_TRUE(IsZero(memory->bytes()));
  }
  // Several at once: not all of them can lie at a huge page by chance.
  std::vector<PageMemory> several;
  for (const size_t size : {size_t{4} << 20, (size_t{5} << 20) + 1, size_t{9} << 20}) {
    auto memory = PageMemory::Allocate(size);
    ASSERT_TRUE(memory.ok());
    EXPECT_EQ(Address(*memory) % (2 << 20), 0U);
    EXPECT_EQ(memory->bytes().size(), size);
    EXPECT_TRUE(IsZero(memory->bytes()));
    std::fill(memory->bytes().begin(), memory->bytes().end(), std::byte{7});
    several.push_back(std::move(*memory));
  }
}

TEST(PageMemory, NoneForNothingAndAnErrorForTooMuch) {
  const auto none = PageMemory::Allocate(0);
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(none->bytes().empty());
  for (const size_t size : {SIZE_MAX, SIZE_MAX / 2}) {
    EXPECT_EQ(PageMemory::Allocate(size).status().code(), ErrorCode::kLimit);
  }
}

TEST(PageMemory, MovesWithItsContent) {
  auto first = PageMemory::Allocate(size_t{4} << 20);
  ASSERT_TRUE(first.ok());
  first->bytes().back() = std::byte{5};
  const std::byte* const place = first->bytes().data();
  PageMemory second(std::move(*first));
  EXPECT_EQ(second.bytes().data(), place);
  PageMemory third;
  third = std::move(second);
  EXPECT_EQ(third.bytes().data(), place);
  EXPECT_EQ(third.bytes().back(), std::byte{5});
}

TEST(Prefault, KeepsContent) {
  auto memory = PageMemory::Allocate(size_t{1} << 20);
  ASSERT_TRUE(memory.ok());
  memory->bytes()[70000] = std::byte{3};
  base::Prefault(memory->bytes().subspan(10, 200000));
  EXPECT_EQ(memory->bytes()[70000], std::byte{3});
  memory->bytes()[70000] = std::byte{};
  EXPECT_TRUE(IsZero(memory->bytes()));
}

}  // namespace
}  // namespace qstore
