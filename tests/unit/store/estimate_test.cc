// SPDX-License-Identifier: Apache-2.0
#include "qstore/estimate.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Direct = std::vector<std::string>;

PackEstimate EstimateOrFail(const std::vector<VariantSource>& variants,
                            const PackOptions& options = {}) {
  auto estimate = EstimatePack(variants, options);
  EXPECT_TRUE(estimate.ok()) << estimate.status().ToString();
  return estimate.ok() ? std::move(estimate).value() : PackEstimate();
}

// Within `share`, or some bytes: an index is compressed, and checksums are not known beforehand.
void ExpectNear(uint64_t estimated, uint64_t is, double share, const std::string& what) {
  const double difference = static_cast<double>(estimated) - static_cast<double>(is);
  EXPECT_LE(std::abs(difference), 32 + share * static_cast<double>(is))
      << what << ": " << estimated << " for " << is;
}

// Compares every arrangement with what Pack makes of it.
void ExpectWhatPackWrites(const std::vector<VariantSource>& variants, PackOptions options,
                          double share) {
  const PackEstimate estimate = EstimateOrFail(variants, options);
  for (const ArrangementEstimate& arrangement : estimate.arrangements) {
    const TempDir dir;
    options.direct = arrangement.direct;
    const Archive archive = PackAndOpen(variants, dir / "m.qstore", options);
    ExpectNear(arrangement.stored_bytes, archive.stored_bytes(), share, "archive");
    ASSERT_EQ(arrangement.variants.size(), variants.size());
    for (size_t i = 0; i < variants.size(); ++i) {
      const VariantEstimate& variant = arrangement.variants[i];
      EXPECT_EQ(variant.name, variants[i].name);
      const size_t v = *archive.FindVariant(variant.name);
      EXPECT_EQ(variant.source_bytes, archive.variant(v).source_bytes);
      const VariantSizes sizes = *archive.SizesOf(v);
      ExpectNear(variant.own_bytes, sizes.own_bytes, share, variant.name + ", own");
      ExpectNear(variant.load_bytes, sizes.load_bytes, share, variant.name + ", load");
    }
  }
}

std::vector<Direct> DirectOf(const PackEstimate& estimate) {
  std::vector<Direct> direct;
  for (const auto& arrangement : estimate.arrangements) direct.push_back(arrangement.direct);
  return direct;
}

TEST(Estimate, OfAPairIsWhatPackWrites) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low");
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  for (const Level level : {Level::kFast, Level::kBalanced}) {
    PackOptions options;
    options.level = level;
    ExpectWhatPackWrites(variants, options, 0.001);
  }
}

TEST(Estimate, OfLevelMaxIsNear) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low", 700, 1000);
  PackOptions options;
  options.level = Level::kMax;
  ExpectWhatPackWrites({{"high", dir / "high"}, {"low", dir / "low"}}, options, 0.02);
}

// Of rows that differ from one another.
std::vector<std::byte> Uneven(uint64_t size, uint32_t seed) {
  auto bytes = RandomBytes(size, seed);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] &= static_cast<std::byte>((1 << (2 + i / 4096 % 6)) - 1);
  }
  return bytes;
}

TEST(Estimate, OfMoreThanIsSampledIsNear) {
  const TempDir dir;
  std::vector<TestTensor> tensors;
  for (uint32_t t = 0; t < 8; ++t) {
    const uint64_t rows = t % 2 == 0 ? 1024 : 1536;
    tensors.push_back({"t" + std::to_string(t), DType::kU8, {rows, 4096}, Uneven(rows * 4096, t)});
  }
  WriteSafetensors(dir / "m/model.safetensors", tensors);
  ExpectWhatPackWrites({{"m", dir / "m"}}, {}, 0.02);
}

TEST(Estimate, SharesWhatIsEqual) {
  const TempDir dir;
  const auto base = RandomBytes(3 << 20, 1);
  auto first = base;
  auto last = base;
  first.front() ^= std::byte{1};
  last.back() ^= std::byte{1};
  const uint64_t size = base.size();
  WriteSafetensors(dir / "a/model.safetensors",
                   {{"base", DType::kU8, {size}, base}, {"tied", DType::kU8, {size}, base}});
  WriteSafetensors(dir / "b/model.safetensors", {{"base", DType::kU8, {size}, base},
                                                 {"first", DType::kU8, {size}, first},
                                                 {"last", DType::kU8, {size}, last}});
  ExpectWhatPackWrites({{"a", dir / "a"}, {"b", dir / "b"}}, {}, 0.001);
}

TEST(Estimate, ListsOtherArrangementsOnce) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low", 30, 100);
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  EXPECT_EQ(DirectOf(EstimateOrFail(variants)), (std::vector<Direct>{{}, {"high"}, {"low"}}));
  PackOptions options;
  options.direct = {"low"};
  EXPECT_EQ(DirectOf(EstimateOrFail(variants, options)),
            (std::vector<Direct>{{"low"}, {}, {"high"}}));
  options.direct = {"low", "high"};
  EXPECT_EQ(DirectOf(EstimateOrFail(variants, options)),
            (std::vector<Direct>{{"low", "high"}, {}, {"high"}, {"low"}}));
  options.direct.clear();
  options.parents = {{"high", "low"}};  // So it cannot be direct.
  EXPECT_EQ(DirectOf(EstimateOrFail(variants, options)), (std::vector<Direct>{{}, {"low"}}));
  EXPECT_EQ(DirectOf(EstimateOrFail({{"high", dir / "high"}})), (std::vector<Direct>{{}}));
}

TEST(Estimate, IsTheSameForEveryNumberOfThreads) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low");
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  PackOptions options;
  options.level = Level::kMax;
  std::vector<uint64_t> sizes;
  for (const unsigned threads : {1U, 5U}) {
    options.threads = threads;
    const PackEstimate estimate = EstimateOrFail(variants, options);
    for (const auto& arrangement : estimate.arrangements) {
      sizes.push_back(arrangement.stored_bytes);
    }
  }
  ASSERT_EQ(sizes.size(), 6U);
  EXPECT_TRUE(std::equal(sizes.begin(), sizes.begin() + 3, sizes.begin() + 3));
}

TEST(Estimate, WritesNothing) {
  const TempDir dir;
  WritePair(dir / "m/high", dir / "m/low", 30, 100);
  const auto before = ReadTree(dir / "m");
  EstimateOrFail({{"high", dir / "m/high"}, {"low", dir / "m/low"}});
  EXPECT_TRUE(ReadTree(dir / "m") == before);
}

TEST(Estimate, FailsAsPackDoes) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low", 30, 100);
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  const auto code = [&](const std::vector<VariantSource>& of, const PackOptions& options) {
    return EstimatePack(of, options).status().code();
  };
  EXPECT_EQ(code({{"a", dir / "nowhere"}}, {}), ErrorCode::kNotFound);
  EXPECT_EQ(code({}, {}), ErrorCode::kInvalidArgument);
  PackOptions options;
  options.direct = {"other"};
  EXPECT_EQ(code(variants, options), ErrorCode::kInvalidArgument);
  options.direct.clear();
  options.progress = [](const Progress&) { return false; };
  EXPECT_EQ(code(variants, options), ErrorCode::kCancelled);
}

}  // namespace
}  // namespace qstore
