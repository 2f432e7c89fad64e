// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "qstore/verify.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

// Codes of experts take several chunks, and so do the weights, which take ranges of them: chunks of
// weights begin and end within rows, one has weights of two experts.
constexpr uint64_t kExperts = 3;
constexpr uint64_t kInputs = 96;
constexpr uint64_t kOutputs = 4000;
constexpr uint64_t kGroups = kInputs / 32;
constexpr const char* kName = "model.layers.0.mlp.experts.down_proj";

// Of E2M1, by code.
constexpr float kNumbers[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};

class RangeRead : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    dir_ = new TempDir;
    std::vector<std::byte> blocks = RandomBytes(kExperts * kOutputs * kGroups * 16, 1);
    std::vector<std::byte> scales = RandomBytes(kExperts * kOutputs * kGroups, 2);
    for (std::byte& scale : scales) {
      scale = static_cast<std::byte>(115 + static_cast<unsigned>(scale) % 8);
    }
    weights_.resize(kExperts * kInputs * kOutputs * 2);
    for (uint64_t e = 0; e < kExperts; ++e) {
      for (uint64_t i = 0; i < kInputs; ++i) {
        for (uint64_t o = 0; o < kOutputs; ++o) {
          const uint64_t block = (e * kOutputs + o) * kGroups + i / 32;
          const auto byte = static_cast<unsigned>(blocks[block * 16 + i % 32 / 2]);
          const unsigned code = i % 2 == 0 ? byte & 15 : byte >> 4;
          const float number = code < 8 ? kNumbers[code] : -kNumbers[code - 8];
          const float value = std::ldexp(number, static_cast<int>(scales[block]) - 127);
          const uint64_t at = (e * kInputs + i) * kOutputs + o;
          base::StoreLe(weights_.data() + 2 * at, base::FloatToBf16(value));
        }
      }
    }
    const std::string name = kName;
    WriteSafetensors(*dir_ / "mxfp4/model.safetensors",
                     {{name + "_blocks", DType::kU8, {kExperts, kOutputs, kGroups, 16}, blocks},
                      {name + "_scales", DType::kU8, {kExperts, kOutputs, kGroups}, scales}});
    WriteSafetensors(*dir_ / "bf16/model.safetensors",
                     {{name, DType::kBF16, {kExperts, kInputs, kOutputs}, weights_}});
    PackAndOpen(Variants(), *dir_ / "m.qstore");
  }
  static void TearDownTestSuite() {
    delete dir_;
    dir_ = nullptr;
  }

 protected:
  static std::vector<VariantSource> Variants() {
    return {{"mxfp4", *dir_ / "mxfp4"}, {"bf16", *dir_ / "bf16"}};
  }
  static Result<Archive> Open(uint64_t max_memory = OpenOptions().max_memory) {
    OpenOptions options;
    options.max_memory = max_memory;
    return Archive::Open(*dir_ / "m.qstore", options);
  }

  static TempDir* dir_;
  static std::vector<std::byte> weights_;
};

TempDir* RangeRead::dir_ = nullptr;
std::vector<std::byte> RangeRead::weights_;

TEST_F(RangeRead, WeightsFollowFromRangesOfCodes) {
  const auto archive = Open();
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  ASSERT_EQ(archive->variant(1).name, "bf16");
  const size_t weights = *archive->FindTensor(1, kName);
  const auto codings = *archive->CodingsOf(1);
  const TensorCoding& coding = codings[weights - archive->variant(1).first_tensor];
  EXPECT_EQ(coding.scheme, "expert-values");
  EXPECT_LT(coding.stored_bytes, 100u);
  EXPECT_TRUE(Verify(*archive, Variants()).ok());
  for (const VariantSource& variant : Variants()) {
    EXPECT_TRUE(Unpacked(*archive, variant.name) == ReadTree(variant.path)) << variant.name;
  }
}

TEST_F(RangeRead, LoadsOneAndBothWithAnyNumberOfThreads) {
  const auto archive = Open();
  ASSERT_TRUE(archive.ok());
  for (const std::vector<size_t>& variants : {std::vector<size_t>{1}, {0, 1}}) {
    for (const unsigned threads : {1U, 2U, 8U}) {
      const auto loaded = archive->Load(variants, threads);
      ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
      const size_t last = loaded->size() - 1;
      ASSERT_TRUE(std::ranges::equal(loaded->content(last), weights_));
    }
  }
}

TEST_F(RangeRead, RowsAreThoseOfTheExperts) {
  const auto archive = Open();
  ASSERT_TRUE(archive.ok());
  const size_t tensor = *archive->FindTensor(1, kName);
  const uint64_t expert = weights_.size() / kExperts;
  std::vector<std::byte> out(expert);
  for (uint64_t e = 0; e < kExperts; ++e) {
    const Status status = archive->ReadRows(tensor, e, e + 1, out);
    ASSERT_TRUE(status.ok()) << status.ToString();
    EXPECT_TRUE(std::ranges::equal(out, std::span(weights_).subspan(e * expert, expert)));
  }
}

// A range and what is read of the archive for it count.
TEST_F(RangeRead, TakesWhatMemoryThereIs) {
  bool was_enough = false;
  unsigned refused = 0;
  for (uint64_t memory = uint64_t{1} << 20; memory < uint64_t{40} << 20; memory += memory / 4) {
    const auto archive = Open(memory);
    ASSERT_TRUE(archive.ok());
    const auto loaded = archive->Load(std::vector<size_t>{1}, 2);
    EXPECT_TRUE(loaded.ok() || !was_enough) << loaded.status().ToString();
    was_enough = loaded.ok();
    if (was_enough) {
      ASSERT_TRUE(std::ranges::equal(loaded->content(0), weights_));
    } else {
      EXPECT_EQ(loaded.status().code(), ErrorCode::kLimit);
      ++refused;
    }
  }
  EXPECT_TRUE(was_enough);
  EXPECT_GT(refused, 0u);
}

// Whoever loads the weights reads their codes, and only these.
TEST_F(RangeRead, InspectCountsTheCodesTaken) {
  const auto archive = Open();
  ASSERT_TRUE(archive.ok());
  const auto codes = archive->SizesOf(0);
  const auto weights = archive->SizesOf(1);
  ASSERT_TRUE(codes.ok() && weights.ok());
  EXPECT_GT(weights->load_bytes, kExperts * kInputs * kOutputs * 4 / 8);
  EXPECT_LT(weights->load_bytes, codes->load_bytes + 2000);
}

}  // namespace
}  // namespace qstore
