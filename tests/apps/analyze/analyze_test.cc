// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/analyze.h"

#include <map>

#include "analyze/results.h"
#include "unit/checkpoint/gptq_model.h"

namespace qstore::analyze {
namespace {

namespace fs = std::filesystem;
using testing::TempDir;

std::vector<VariantSource> Chain(const TempDir& dir) {
  return {{"8", dir / "8"}, {"16", dir / "16"}, {"4", dir / "4"}};
}

AnalyzeOptions Quick() {
  AnalyzeOptions options;
  options.threads = 2;
  return options;
}

// Bits by "method of|given".
std::map<std::string, double> ByName(const std::vector<AnalyzeTotal>& totals) {
  std::map<std::string, double> bits;
  for (const AnalyzeTotal& total : totals) {
    bits[total.method + " " + total.of + "|" + total.given] = total.bits;
  }
  return bits;
}

Result<AnalyzeReport> AnalyzeChain(const TempDir& dir, const AnalyzeOptions& options) {
  return Analyze(Chain(dir), dir / "out", options);
}

std::vector<std::string> Names(const fs::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(directory)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

TEST(Analyze, MeasuresAChainEveryWay) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const auto report = AnalyzeChain(dir, Quick());
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->analysed, 2u);
  EXPECT_EQ(report->not_analysed, 1u);
  EXPECT_EQ(report->resumed, 0u);
  const auto bits = ByName(report->totals);
  EXPECT_EQ(bits.at("raw 4|"), 2 * 96 * 256 * 4);
  for (const std::string variant : {"16", "8", "4"}) {
    EXPECT_LE(bits.at("entropy " + variant + "|"), bits.at("huffman " + variant + "|"));
    EXPECT_LT(bits.at("huffman " + variant + "|"), bits.at("huffman+tables " + variant + "|"));
    EXPECT_GT(bits.at("zstd-3 " + variant + "|"), 0);
    EXPECT_GT(bits.at("qstore " + variant + "|"), 0);
    EXPECT_LE(bits.at("archive " + variant + "|"), bits.at("qstore " + variant + "|"));
  }
  for (const std::string pair : {"16|8", "16|4", "8|4"}) {
    EXPECT_LE(bits.at("entropy " + pair), bits.at("prototype " + pair));
    EXPECT_LT(bits.at("prototype " + pair), bits.at("prototype+tables " + pair));
    EXPECT_GT(bits.at("qstore " + pair), 0);
  }
  EXPECT_EQ(bits.count("prototype 8|16"), 0u);
  EXPECT_EQ(report->plans.front().method, "raw");
  EXPECT_DOUBLE_EQ(report->plans.front().bits_per_weight(), 28);
  EXPECT_EQ(Names(dir / "out"),
            (std::vector<std::string>{"analyze.log", "layers", "run.json", "summary.json"}));
  EXPECT_EQ(Names(dir / "out/layers"),
            (std::vector<std::string>{"000000-embed.json", "000001-layers.2.up.json",
                                      "000002-layers.10.up.json"}));
}

TEST(Analyze, GoesOnWhereItWasStopped) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  const auto whole = Analyze(Chain(dir), dir / "whole", Quick());
  ASSERT_TRUE(whole.ok());
  AnalyzeOptions options = Quick();
  options.threads = 1;
  // Until the first of the two layers is on the disk.
  options.progress = [&](const Progress&) {
    return !fs::exists(dir / "out/layers/000001-layers.2.up.json");
  };
  const auto stopped = AnalyzeChain(dir, options);
  ASSERT_FALSE(stopped.ok());
  EXPECT_EQ(stopped.status().code(), ErrorCode::kCancelled);
  EXPECT_FALSE(fs::exists(dir / "out/summary.json"));
  EXPECT_FALSE(fs::exists(dir / "out/scratch"));
  EXPECT_FALSE(fs::exists(dir / "out/layers/000002-layers.10.up.json"));
  // A result that a failing disk left half, and copies that a killed process left.
  testing::WriteFile(dir / "out/layers/000002-layers.10.up.json", "{\"layer\": \"lay");
  testing::WriteFile(dir / "out/scratch/2/16/model.safetensors", "old");
  options.progress = {};
  const auto resumed = AnalyzeChain(dir, options);
  ASSERT_TRUE(resumed.ok()) << resumed.status().ToString();
  EXPECT_EQ(resumed->resumed, 1u);
  EXPECT_EQ(ByName(resumed->totals), ByName(whole->totals));
  EXPECT_FALSE(fs::exists(dir / "out/scratch"));
  const std::string log = testing::ReadFile(dir / "out/analyze.log");
  EXPECT_NE(log.find("stopped: cancelled"), std::string::npos) << log;
  EXPECT_NE(log.find("begin: 3 layers, 1 of them done before"), std::string::npos) << log;
}

TEST(Analyze, CountsWhatIsLeftToDo) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  Progress last;
  uint64_t before = 0;
  AnalyzeOptions options = Quick();
  options.progress = [&](const Progress& progress) {
    EXPECT_GE(progress.done_bytes, before);
    before = progress.done_bytes;
    last = progress;
    return true;
  };
  ASSERT_TRUE(AnalyzeChain(dir, options).ok());
  EXPECT_EQ(last.done_bytes, last.total_bytes);
  EXPECT_GT(last.total_bytes, uint64_t{2} * 96 * 256 * 7 / 2);
}

TEST(Analyze, NeverMixesTwoAnalyses) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  AnalyzeOptions options = Quick();
  ASSERT_TRUE(AnalyzeChain(dir, options).ok());
  options.sample_rows = 32;
  const auto other = AnalyzeChain(dir, options);
  EXPECT_EQ(other.status().code(), ErrorCode::kAlreadyExists);
  options.restart = true;
  const auto again = AnalyzeChain(dir, options);
  ASSERT_TRUE(again.ok()) << again.status().ToString();
  EXPECT_EQ(again->resumed, 0u);
  EXPECT_EQ(ByName(again->totals).at("raw 16|"), 2 * 32 * 256 * 16);

  testing::WriteChain(dir.path(), 64, 256);  // The same paths, another model.
  options.restart = false;
  EXPECT_EQ(AnalyzeChain(dir, options).status().code(), ErrorCode::kAlreadyExists);

  testing::WriteFile(dir / "mine/letter.txt", "dear");
  options.restart = true;
  EXPECT_EQ(Analyze(Chain(dir), dir / "mine", options).status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(testing::ReadFile(dir / "mine/letter.txt"), "dear");
  EXPECT_EQ(Analyze(Chain(dir), dir / "mine/letter.txt", options).status().code(),
            ErrorCode::kInvalidArgument);
}

TEST(Analyze, RefusesOptionsWithoutMeaning) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  std::vector<AnalyzeOptions> bad(5, Quick());
  bad[0].sample = 0;
  bad[1].sample = 1.5;
  bad[2].zstd = {3, 99};
  bad[3].pairs = {{"16", "5"}};
  bad[4].layers = {"nothing"};
  for (const AnalyzeOptions& options : bad) {
    EXPECT_EQ(AnalyzeChain(dir, options).status().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(Analyze, AsksZipnnForFloatsOnly) {
  const TempDir dir;
  testing::WriteChain(dir.path());
  AnalyzeOptions options = Quick();
  options.conditional = false;
  options.huffman = false;
  options.zstd.clear();
  int calls = 0;
  options.zipnn = [&](const fs::path& file, uint64_t offset, uint64_t size,
                      DType dtype) -> Result<uint64_t> {
    ++calls;
    EXPECT_EQ(dtype, DType::kBF16);
    EXPECT_EQ(size, uint64_t{96} * 256 * 2);
    EXPECT_EQ(fs::file_size(file), offset + size);
    return uint64_t{1000};
  };
  const auto report = AnalyzeChain(dir, options);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(ByName(report->totals).at("zipnn 16|"), 16000);
  EXPECT_EQ(ByName(report->totals).count("zipnn 8|"), 0u);

  options.restart = true;
  options.zipnn = [](const fs::path&, uint64_t, uint64_t, DType) -> Result<uint64_t> {
    return IoError("gone");
  };
  EXPECT_EQ(AnalyzeChain(dir, options).status().code(), ErrorCode::kIo);
}

TEST(Analyze, NotesBadContentAndNonFiniteWeights) {
  const TempDir dir;
  testing::WeightPair pair = testing::MakePair(DType::kBF16, 32, 64, 1);
  testing::GptqLayer layer = testing::MakeGptq(pair.high, 32, 64, 4, 2);
  const auto good = layer.Tensors("good");
  layer.g_idx[5] = 7;
  auto low = layer.Tensors("bad");
  low.insert(low.end(), good.begin(), good.end());
  pair.high[1] = std::byte{0x7f};  // An infinity or a NaN in BF16.
  pair.high[0] = std::byte{0x80};
  testing::WriteSafetensors(dir / "16/m.safetensors",
                            {{"bad.weight", DType::kBF16, {32, 64}, pair.high},
                             {"good.weight", DType::kBF16, {32, 64}, pair.high}});
  testing::WriteSafetensors(dir / "4/m.safetensors", low);
  const auto report =
      Analyze(std::vector<VariantSource>{{"16", dir / "16"}, {"4", dir / "4"}}, dir / "out", {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->analysed, 1u);
  EXPECT_EQ(report->not_analysed, 1u);
  const auto bad = LayerFromJson(testing::ReadFile(dir / "out/layers/000000-bad.json"));
  ASSERT_TRUE(bad.ok());
  EXPECT_NE(bad->not_analysed.find("names group 7 of 2"), std::string::npos) << bad->not_analysed;
  const auto fine = LayerFromJson(testing::ReadFile(dir / "out/layers/000001-good.json"));
  ASSERT_TRUE(fine.ok());
  EXPECT_EQ(fine->variants[0].non_finite, 1u);
}

}  // namespace
}  // namespace qstore::analyze
