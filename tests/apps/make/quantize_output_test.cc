// SPDX-License-Identifier: Apache-2.0
#include "apps/make/quantize_models.h"

namespace qstore::make {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

TEST(Quantize, OutputIsNotOverwrittenUnasked) {
  TempDir dir;
  WriteModel(dir / "in/m.safetensors", kSmall);
  WriteFile(dir / "out/m.safetensors", "old");
  EXPECT_EQ(Quantize(dir / "in", dir / "out", kInt8).status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(dir / "out/m.safetensors"), "old");
  QuantizeOptions options = kInt8;
  options.overwrite = true;
  EXPECT_TRUE(Quantize(dir / "in", dir / "out", options).ok());
  EXPECT_EQ(ReadModel(dir / "out/m.safetensors").size(), 8u);
  for (const char* source : {"in", "in/m.safetensors", "in/../in"}) {
    EXPECT_EQ(Quantize(dir / source, dir / "in", options).status().code(),
              ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(ReadModel(dir / "in/m.safetensors"), kSmall);
}

TEST(Quantize, ForcedItRemovesTheOldWeightsOfTheSameNameAndNothingElse) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", kSmall);
  WriteModel(dir / "in/sub/unet-1-of-1.safetensors", kSmall);
  const auto old = {"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                    "model.safetensors.index.json", "sub/unet.safetensors"};
  const auto others = {"adapter_model.safetensors",
                       "model.safetensors.bak",
                       "model.bin",
                       "model-draft.safetensors",
                       "unet.safetensors",
                       "sub/model.safetensors",
                       "far/model.safetensors",
                       "pytorch_model.bin.index.json"};
  for (const auto& names : {old, others}) {
    for (const char* name : names) WriteFile(dir / "out" / name, "old");
  }
  QuantizeOptions options = kInt8;
  options.overwrite = true;
  options.progress = [](const Progress&) { return false; };
  EXPECT_EQ(Quantize(dir / "in", dir / "out", options).status().code(), ErrorCode::kCancelled);
  for (const char* name : old) EXPECT_TRUE(fs::exists(dir / "out" / name)) << name;
  options.progress = nullptr;
  ASSERT_TRUE(Quantize(dir / "in", dir / "out", options).ok());
  for (const char* name : old) EXPECT_FALSE(fs::exists(dir / "out" / name)) << name;
  for (const char* name : others) EXPECT_EQ(ReadFile(dir / "out" / name), "old") << name;
  EXPECT_TRUE(fs::exists(dir / "out/model.safetensors"));
  EXPECT_TRUE(fs::exists(dir / "out/sub/unet-1-of-1.safetensors"));
}

TEST(Quantize, ProgressEndsAtTheTotalAndStopsWhenAsked) {
  TempDir dir;
  const std::vector<float> values(3'000'000, 1.0f);
  WriteModel(dir / "in/m.safetensors",
             {{"a.weight", F32({3000, 1000}, values)}, {"a.bias", F32({3'000'000}, values)}});
  WriteFile(dir / "in/config.json", "{}");
  WriteFile(dir / "in/empty", "");
  WriteFile(dir / "in/other.bin", std::string(9'000'000, 'x'));
  QuantizeOptions options = kInt8;
  options.threads = 3;
  std::vector<Progress> seen;
  options.progress = [&](const Progress& progress) {
    seen.push_back(progress);
    return true;
  };
  auto report = Quantize(dir / "in", dir / "out", options);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(ReadFile(dir / "out/other.bin"), ReadFile(dir / "in/other.bin"));
  ASSERT_GT(seen.size(), 8u);
  uint64_t before = 0;
  for (const Progress& progress : seen) {
    EXPECT_EQ(progress.total_bytes, report->source_bytes);
    EXPECT_GT(progress.done_bytes, before);
    EXPECT_LE(progress.done_bytes - before, uint64_t{4} << 20);
    before = progress.done_bytes;
  }
  EXPECT_EQ(before, report->source_bytes);
  fs::create_directories(dir / "empty");
  for (const size_t last : {size_t{1}, seen.size() / 2, seen.size()}) {
    size_t calls = 0;
    options.progress = [&](const Progress&) { return ++calls < last; };
    for (const char* out : {"stopped/m", "empty"}) {
      calls = 0;
      EXPECT_EQ(Quantize(dir / "in", dir / out, options).status().code(), ErrorCode::kCancelled);
      EXPECT_EQ(calls, last);
    }
    EXPECT_FALSE(fs::exists(dir / "stopped")) << last;
    EXPECT_TRUE(fs::is_empty(dir / "empty")) << last;
  }
}

TEST(Quantize, DryRunWritesNothing) {
  TempDir dir;
  WriteModel(dir / "in/m.safetensors", kSmall);
  QuantizeOptions options = kInt8;
  options.dry_run = true;
  auto report = Quantize(dir / "in", dir / "out", options);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->quantized.size(), 1u);
  EXPECT_FALSE(fs::exists(dir / "out"));
}

}  // namespace
}  // namespace qstore::make
