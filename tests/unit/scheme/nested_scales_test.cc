// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/nested_scales.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "registry/given.h"
#include "registry/weights.h"

namespace qstore::scheme {
namespace {

using Bytes = std::vector<std::byte>;
constexpr uint64_t kBlock = 64;
constexpr uint64_t kOuter = 256;

// Scales of 700 rows of 256 weights, made one after the other with that offset.
struct Nested {
  explicit Nested(float offset, const std::string& text) {
    for (const char c : text) state.push_back(static_cast<std::byte>(c));
    std::vector<float> number(256), off;
    for (size_t i = 0; i < 256; ++i) {
      number[i] = std::pow(static_cast<float>(i) / 127.5f - 1.0f, 3.0f);
      testing::AppendPattern(DType::kF32, number[i], &map);
    }
    for (uint64_t b = 0; b < weights.size() / 2 / kBlock; ++b) {
      float absmax = 0;
      for (uint64_t i = b * kBlock; i < (b + 1) * kBlock; ++i) {
        absmax = std::max(absmax, std::fabs(testing::PatternValue(DType::kBF16, &weights[2 * i])));
      }
      off.push_back(absmax - offset);
    }
    for (size_t b = 0; b < off.size(); b += kOuter) {
      float most = 0;
      const size_t end = std::min<size_t>(off.size(), b + kOuter);
      for (size_t i = b; i < end; ++i) most = std::max(most, std::fabs(off[i]));
      testing::AppendPattern(DType::kF32, most, &outer);
      for (size_t i = b; i < end; ++i) {
        const float scaled = off[i] * (1.0f / most);
        unsigned below = 0;
        while (below < 255 && (number[below] + number[below + 1]) / 2.0f < scaled) ++below;
        codes.push_back(static_cast<std::byte>(below));
      }
    }
  }

  // Bytes that the codes take; all of them come back.
  uint64_t Code() const {
    ObjectSpec high = SpecFor(DType::kBF16, std::array<uint64_t, 2>{700, 256}, weights.size());
    high.chunk_elems = 300 * 256;
    ObjectSpec child = SpecFor(DType::kU8, std::array{codes.size()}, codes.size());
    child.chunk_elems = high.chunk_elems / kBlock;
    const auto side = [](const Bytes& bytes) {
      return SpecFor(DType::kU8, std::array{bytes.size()}, bytes.size());
    };
    const std::vector<ObjectSpec> specs = {high, side(outer), side(map), side(state)};
    const std::vector<Bytes> parents = {weights, outer, map, state};
    const Bytes params = {std::byte{64}, std::byte{0x80}, std::byte{2}};
    const auto bound = testing::BindOrFail(NestedScales(), child, specs, params);
    if (bound == nullptr) return UINT64_MAX;
    uint64_t taken = 0;
    ChunkCoder encoder, decoder;
    EXPECT_GT(child.chunk_count(), 1u);
    for (uint64_t c = 0; c < child.chunk_count(); ++c) {
      const testing::ChunkParents given(bound.get(), parents, child, c);
      const auto raw = std::span(codes).subspan(child.first_elem(c), child.chunk_elem_count(c));
      Bytes payload;
      const auto codec =
          encoder.Encode(child, Level::kBalanced, c, raw, given.given(), &payload).value();
      taken += payload.size();
      Bytes out(raw.size(), std::byte{0xaa});
      EXPECT_TRUE(decoder.Decode(child, c, codec, payload, given.given(), out).ok());
      EXPECT_TRUE(std::equal(raw.begin(), raw.end(), out.begin()));
    }
    return taken;
  }

  Bytes weights = testing::MakePair(DType::kBF16, 700, 256, 3).high;
  Bytes codes, outer, map, state;
};

TEST(NestedScales, FollowFromWeights) {
  EXPECT_EQ(Nested(0.0625f, R"({"a": 1, "nested_offset": 0.0625})").Code(), 0u);
  EXPECT_EQ(Nested(-0.5f, R"({"nested_offset":   -5e-1, "b": 2})").Code(), 0u);
}

TEST(NestedScales, ComeBackWhateverTheSidesAre) {
  const char* states[] = {"",
                          "{}",
                          R"("nested_offset":)",
                          R"("nested_offset": nan)",
                          R"("nested_offset": 1e999)",
                          R"("nested_offset": "0.0625")",
                          R"("nested_offset": 1e-40)",
                          R"("nested_offset": -)"};
  for (const char* state : states) EXPECT_GT(Nested(0.0625f, state).Code(), 0u) << state;
  const std::string right = R"({"nested_offset": 0.0625})";
  Nested damaged(0.0625f, right);
  damaged.outer[3] = std::byte{0xff};
  damaged.outer[2] = std::byte{0xff};
  damaged.codes[9] ^= std::byte{0x40};
  EXPECT_GT(damaged.Code(), 0u);
  Nested disordered(0.0625f, right);
  std::swap(disordered.map[3], disordered.map[1023]);
  EXPECT_GT(disordered.Code(), 0u);
  Nested special(0.0625f, right);
  for (size_t i = 0; i < 600; ++i) special.weights[i] = static_cast<std::byte>(0x7f + i % 3);
  EXPECT_GT(special.Code(), 0u);
}

}  // namespace
}  // namespace qstore::scheme
