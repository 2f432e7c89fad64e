// SPDX-License-Identifier: Apache-2.0
// Blocks of ggml given weights come back, whatever they follow from.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "base/float_mode.h"
#include "codec/kernels/kernels.h"
#include "registry/ggml.h"
#include "registry/given.h"
#include "scheme/chunk_coder.h"
#include "scheme/ggml/ggml.h"

namespace qstore::scheme::ggml {
namespace {

using Bytes = std::vector<std::byte>;
using testing::GgmlFamily;
using testing::GgmlKind;

class GgmlScheme : public ::testing::TestWithParam<GgmlKind> {
 protected:
  void SetUp() override {
    family_ = testing::MakeGgml(GetParam());
    bound_ =
        testing::BindOrFail(Ggml(), family_.spec, family_.specs, WriteGgmlParams(family_.params));
    ASSERT_NE(bound_, nullptr);
  }

  std::span<const std::byte> RawOf(uint64_t chunk) const {
    const uint64_t size = family_.spec.elem_bytes();
    return std::span(family_.content)
        .subspan(family_.spec.first_elem(chunk) * size,
                 family_.spec.chunk_elem_count(chunk) * size);
  }
  ChunkAt At(uint64_t chunk) const {
    return {family_.spec.first_elem(chunk), family_.spec.chunk_elem_count(chunk)};
  }
  testing::ChunkParents ParentsOf(uint64_t chunk) const {
    return {bound_.get(), family_.parents, family_.spec, chunk};
  }
  Bytes Encoded(uint64_t chunk) {
    Bytes payload;
    const auto given = ParentsOf(chunk);
    bound_->Encode(At(chunk), given.given().parents, RawOf(chunk), codec::Effort::kRans, &scratch_,
                   &payload);
    return payload;
  }
  Status Decode(uint64_t chunk, const Bytes& payload, Bytes* out) {
    out->assign(RawOf(chunk).size(), std::byte{0xAA});
    const auto given = ParentsOf(chunk);
    Bytes with_slack = payload;
    if (!payload.empty()) with_slack.resize(payload.size() + codec::kReadSlack);
    base::ByteReader reader(with_slack);
    return bound_->Decode(At(chunk), given.given().parents, &reader, &scratch_, *out);
  }

  GgmlFamily family_;
  std::shared_ptr<const Bound> bound_;
  Scratch scratch_;
};

#if defined(__x86_64__)
// Subnormals count, whatever the program around has set for its own floats.
TEST_P(GgmlScheme, ComesBackWhereSubnormalsAreFlushed) {
  constexpr unsigned kFlushed = 0x8040;
  for (uint64_t chunk = 0; chunk < 3; ++chunk) {
    const Bytes payload = Encoded(chunk);
    Bytes out;
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | kFlushed);
    const Bytes again = Encoded(chunk);
    const Status status = Decode(chunk, payload, &out);
    _mm_setcsr(before);
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(std::ranges::equal(out, RawOf(chunk)));
    EXPECT_EQ(again, payload);
  }
}
#endif

TEST_P(GgmlScheme, ComesBack) {
  ASSERT_EQ(family_.spec.chunk_count(), 3u);
  for (uint64_t chunk = 0; chunk < 3; ++chunk) {
    const Bytes payload = Encoded(chunk);
    const bool is_told = GetParam().is_replayed || DTypeBlock(GetParam().child) == 1;
    EXPECT_TRUE(GetParam().odd > 0 || payload.empty() == is_told);
    Bytes out;
    const Status status = Decode(chunk, payload, &out);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(std::equal(out.begin(), out.end(), RawOf(chunk).begin()));
  }
}

TEST_P(GgmlScheme, ComesBackThroughTheCoderOfChunks) {
  ChunkCoder encoder, decoder;
  for (uint64_t chunk = 0; chunk < family_.spec.chunk_count(); ++chunk) {
    const auto given = ParentsOf(chunk);
    Bytes payload;
    const auto codec = encoder.Encode(family_.spec, Level::kBalanced, chunk, RawOf(chunk),
                                      given.given(), &payload);
    ASSERT_TRUE(codec.ok());
    EXPECT_LE(payload.size(), RawOf(chunk).size());
    Bytes out(RawOf(chunk).size());
    ASSERT_TRUE(decoder.Decode(family_.spec, chunk, *codec, payload, given.given(), out).ok());
    EXPECT_TRUE(std::equal(out.begin(), out.end(), RawOf(chunk).begin()));
  }
}

// Bytes of the payload become others, or end early: an error or other content, and no crash.
TEST_P(GgmlScheme, AnyPayloadIsSafe) {
  const Bytes whole = Encoded(0);
  std::mt19937 random(1);
  Bytes out;
  const size_t step = std::max<size_t>(1, whole.size() / 60);
  for (size_t at = 0; at < whole.size(); at += at < 40 ? 1 : step) {
    for (const auto value : {0x00, 0xFF, 0x80, static_cast<int>(random() % 256)}) {
      Bytes damaged = whole;
      damaged[at] = static_cast<std::byte>(value);
      const Status status = Decode(0, damaged, &out);
      EXPECT_TRUE(status.ok() || status.code() == ErrorCode::kCorrupt) << status.ToString();
    }
    if (at == 0) continue;
    const Status status = Decode(0, Bytes(whole.begin(), whole.begin() + at), &out);
    EXPECT_TRUE(status.ok() || status.code() == ErrorCode::kCorrupt) << status.ToString();
  }
}

// What a chunk needs of its parents lies within them, and is enough: the tests above copy no more.
TEST_P(GgmlScheme, NeedsWhatItsWeightsTake) {
  for (uint64_t chunk = 0; chunk < family_.spec.chunk_count(); ++chunk) {
    uint64_t needed = 0;
    for (size_t p = 0; p < family_.params.matrices; ++p) {
      const Region need = bound_->NeedOf(p, At(chunk));
      EXPECT_LE(need.end(), family_.specs[p].byte_size);
      needed += need.size();
    }
    const uint64_t weights = family_.spec.chunk_elem_count(chunk) * DTypeBlock(family_.spec.dtype);
    const uint64_t bytes = weights * DTypeBits(family_.params.parent_dtype) / 8 /
                           DTypeBlock(family_.params.parent_dtype);
    EXPECT_GE(needed, bytes);
    EXPECT_TRUE(GetParam().head_rows != 0 || GetParam().cuts_rows || needed == bytes);
  }
}

TEST_P(GgmlScheme, ParametersComeBack) {
  const Bytes bytes = WriteGgmlParams(family_.params);
  const auto read = ReadGgmlParams(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(WriteGgmlParams(*read), bytes);
}

INSTANTIATE_TEST_SUITE_P(Kinds, GgmlScheme, ::testing::ValuesIn(testing::GgmlKinds()),
                         [](const auto& test) { return test.param.name(); });

TEST(GgmlSchemeExceptions, FewAreListedAndManyAreNear) {
  // A Q8_0 of which few or many codes are not the nearest ones.
  for (const double odd : {0.01, 1.0}) {
    const GgmlFamily family = testing::MakeGgml({.child = DType::kQ8_0, .odd = odd});
    const auto bound =
        testing::BindOrFail(Ggml(), family.spec, family.specs, WriteGgmlParams(family.params));
    ASSERT_NE(bound, nullptr);
    const testing::ChunkParents given(bound.get(), family.parents, family.spec, 0);
    const uint64_t bytes = family.spec.chunk_elem_count(0) * family.spec.elem_bytes();
    Bytes payload;
    Scratch scratch;
    bound->Encode({0, family.spec.chunk_elem_count(0)}, given.given().parents,
                  std::span(family.content).first(bytes), codec::Effort::kRans, &scratch, &payload);
    EXPECT_LT(static_cast<double>(payload.size()),
              (odd < 0.5 ? 0.07 : 0.6) * static_cast<double>(bytes));
  }
}

}  // namespace
}  // namespace qstore::scheme::ggml
