// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "base/float_convert.h"
#include "base/hash.h"
#include "io/file.h"
#include "io/model_tree.h"
#include "io/safetensors.h"
#include "io/safetensors_index.h"
#include "unit/test_files.h"

namespace qstore::make {
namespace {

using namespace testing;

std::string HashOf(const std::filesystem::path& path) {
  base::Hasher128 hasher;
  hasher.Update(Bytes(ReadFile(path)));
  std::string text;
  for (const uint8_t byte : hasher.Finish()) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// Values of all tensors of a file, by name.
std::map<std::string, std::vector<float>> ValuesOf(const std::filesystem::path& path) {
  const std::string bytes = ReadFile(path);
  auto header = io::ReadSafetensorsHeader(MemorySource(bytes));
  EXPECT_TRUE(header.ok()) << header.status().ToString();
  std::map<std::string, std::vector<float>> values;
  for (const auto& tensor : header->tensors) {
    const char* at = bytes.data() + tensor.begin;
    const unsigned size = DTypeBits(tensor.dtype) / 8;
    for (; at != bytes.data() + tensor.end; at += size) {
      uint32_t bits = 0;
      std::memcpy(&bits, at, size);
      const auto narrow = static_cast<uint16_t>(bits);
      values[tensor.name].push_back(tensor.dtype == DType::kF32    ? std::bit_cast<float>(bits)
                                    : tensor.dtype == DType::kBF16 ? base::Bf16ToFloat(narrow)
                                                                   : base::Fp16ToFloat(narrow));
    }
  }
  return values;
}

SynthOptions Small(DType dtype) {
  SynthOptions options;
  options.dtype = dtype;
  options.rows = 300;
  options.columns = 500;
  options.count = 2;
  options.sync = false;
  return options;
}

// Published figures rest on these bytes: the hashes change only with a new law or a new generator.
TEST(Synth, BytesAreTheSameEverywhere) {
  const struct {
    SynthOptions options;
    const char* hash;
  } kCases[] = {
      {Small(DType::kBF16), "2dc81c8fb20c52b4f9722075dcbff6f5"},
      {Small(DType::kF16), "064b8fbe8eaecf90956868fab604e6e6"},
      {Small(DType::kF32), "d28cbcf8514397e6b218906b1d4a6ab7"},
      {[] {
         auto o = Small(DType::kBF16);
         o.seed = 0x123456789;
         o.student_t = 4;
         o.outlier_columns = 0.01;
         return o;
       }(),
       "89afb9cd7e849c8b0b1533aa10a23560"},
      {[] {
         SynthOptions o;
         o.layers = 1;
         o.hidden = 64;
         o.vocab = 100;
         return o;
       }(),
       "e8ad0a0f4173d19d302fa3807ca46ad5"},
  };
  for (const auto& c : kCases) {
    for (const unsigned threads : {1u, 3u}) {
      TempDir dir;
      SynthOptions options = c.options;
      options.threads = threads;
      auto report = Synthesize(dir / "m", options);
      ASSERT_TRUE(report.ok()) << report.status().ToString();
      EXPECT_EQ(HashOf(dir / "m/model.safetensors"), c.hash);
    }
  }
}

TEST(Synth, FollowsTheLaw) {
  TempDir dir;
  SynthOptions options = Small(DType::kF32);
  options.rows = options.columns = 1000;
  options.count = 1;
  ASSERT_TRUE(Synthesize(dir / "m", options).ok());
  const std::vector<float> w = ValuesOf(dir / "m/model.safetensors")["layers.0.linear.weight"];
  ASSERT_EQ(w.size(), 1000000u);
  std::vector<double> row(1000), column(1000);
  double mean = 0;
  for (size_t r = 0; r < 1000; ++r) {
    for (size_t c = 0; c < 1000; ++c) {
      const double log = std::log(std::fabs(w[r * 1000 + c]) + 1e-30);
      row[r] += log / 1000;
      column[c] += log / 1000;
      mean += log / 1e6;
    }
  }
  // E log|N| is -0.6352; the variance of log|N| is pi^2/8, of which a mean of 1000 keeps a part.
  EXPECT_NEAR(mean, std::log(0.02) - 0.6352, 0.03);
  const auto spread = [&](const std::vector<double>& means) {
    double sum = 0;
    for (const double m : means) sum += (m - mean) * (m - mean) / 1000;
    return std::sqrt(sum - M_PI * M_PI / 8 / 1000);
  };
  EXPECT_NEAR(spread(row), 0.25, 0.02);
  EXPECT_NEAR(spread(column), 0.1, 0.01);
}

TEST(Synth, NarrowTypesAreRoundedFromTheSameNumbers) {
  TempDir dir;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    ASSERT_TRUE(Synthesize(dir / DTypeName(dtype), Small(dtype)).ok());
  }
  auto wide = ValuesOf(dir / "F32/model.safetensors");
  auto bf16 = ValuesOf(dir / "BF16/model.safetensors");
  auto fp16 = ValuesOf(dir / "F16/model.safetensors");
  for (const auto& [name, values] : wide) {
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_EQ(bf16[name][i], base::Bf16ToFloat(base::FloatToBf16(values[i])));
      ASSERT_EQ(fp16[name][i], base::Fp16ToFloat(base::FloatToFp16(values[i])));
    }
  }
}

TEST(Synth, OutlierColumnsAreLarger) {
  TempDir dir;
  SynthOptions options = Small(DType::kF32);
  options.count = 1;
  ASSERT_TRUE(Synthesize(dir / "plain", options).ok());
  options.outlier_columns = 0.1;
  ASSERT_TRUE(Synthesize(dir / "outliers", options).ok());
  const auto plain = ValuesOf(dir / "plain/model.safetensors")["layers.0.linear.weight"];
  const auto outliers = ValuesOf(dir / "outliers/model.safetensors")["layers.0.linear.weight"];
  size_t larger = 0;
  for (size_t c = 0; c < 500; ++c) {
    const bool is_larger = outliers[c] != plain[c];
    larger += is_larger;
    for (size_t r = 0; r < 300; ++r) {
      EXPECT_NEAR(outliers[r * 500 + c], plain[r * 500 + c] * (is_larger ? 16 : 1), 1e-4);
    }
  }
  EXPECT_GT(larger, 25u);
  EXPECT_LT(larger, 80u);
}

TEST(Synth, ShardsAreIndexedAndHoldTheSameNumbers) {
  TempDir dir;
  SynthOptions options;
  options.layers = 2;
  options.hidden = 256;
  options.vocab = 1000;
  ASSERT_TRUE(Synthesize(dir / "one", options).ok());
  options.shard_bytes = 1'000'000;
  auto report = Synthesize(dir / "many", options);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_GT(report->shards, 2u);
  auto files = io::ListModelFiles(dir / "many");  // Checks that every shard is there.
  ASSERT_TRUE(files.ok()) << files.status().ToString();
  EXPECT_EQ(files->size(), report->shards + 2);
  const auto whole = ValuesOf(dir / "one/model.safetensors");
  auto index = io::ParseSafetensorsIndex(ReadFile(dir / "many/model.safetensors.index.json"));
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->weight_map.size(), whole.size());
  EXPECT_EQ(report->tensors, whole.size());
  for (const auto& [name, shard] : index->weight_map) {
    EXPECT_EQ(ValuesOf(dir / "many" / shard)[name], whole.at(name)) << name;
  }
}

TEST(Synth, SizeChoosesTheNumberOfLayers) {
  TempDir dir;
  SynthOptions options;
  options.size_bytes = 20'000'000;
  options.hidden = 256;
  options.vocab = 1000;
  options.sync = false;
  auto report = Synthesize(dir / "m", options);
  ASSERT_TRUE(report.ok());
  EXPECT_NEAR(static_cast<double>(report->tensor_bytes), 20e6, 1e6);
  EXPECT_EQ(report->weights * 2, report->tensor_bytes);
}

TEST(Synth, OptionsWithoutMeaningAreRefusedAndLeaveNothing) {
  const auto with = [](auto change) {
    SynthOptions options = Small(DType::kBF16);
    change(options);
    return options;
  };
  for (const SynthOptions& options :
       {with([](auto& o) { o.dtype = DType::kI8; }), with([](auto& o) { o.columns = 0; }),
        with([](auto& o) { o.rows = 0; }), with([](auto& o) { o.layers = 1; }),
        with([](auto& o) { o.student_t = 1; }), with([](auto& o) { o.outlier_columns = 1.5; }),
        with([](auto& o) { o.deviation = std::nan(""); }),
        with([](auto& o) { o.rows = o.columns = 0xffffffff; }),
        with([](auto& o) { o.shard_bytes = 0; })}) {
    TempDir dir;
    EXPECT_EQ(Synthesize(dir / "m", options).status().code(), ErrorCode::kInvalidArgument);
    EXPECT_FALSE(std::filesystem::exists(dir / "m"));
  }
}

TEST(Synth, AnotherNumberOfShardsLeavesOneModel) {
  TempDir dir;
  SynthOptions options = Small(DType::kBF16);
  options.count = 3;
  options.overwrite = true;
  for (const uint64_t shard_bytes : {300'000, 700'000, 5'000'000}) {
    options.shard_bytes = shard_bytes;
    auto report = Synthesize(dir / "m", options);
    ASSERT_TRUE(report.ok());
    auto files = io::ListModelFiles(dir / "m");
    ASSERT_TRUE(files.ok()) << files.status().ToString();
    EXPECT_EQ(files->size(), report->shards == 1 ? 2 : report->shards + 2);
  }
}

TEST(Synth, DoesNotOverwriteUnasked) {
  TempDir dir;
  WriteFile(dir / "m/other", "x");
  SynthOptions options = Small(DType::kBF16);
  EXPECT_EQ(Synthesize(dir / "m", options).status().code(), ErrorCode::kAlreadyExists);
  options.overwrite = true;
  EXPECT_TRUE(Synthesize(dir / "m", options).ok());
  EXPECT_EQ(ReadFile(dir / "m/other"), "x");
}

TEST(Synth, ProgressEndsAtTheTotalAndCountsEveryFile) {
  TempDir dir;
  SynthOptions options = Small(DType::kBF16);
  options.rows = 5000;
  options.shard_bytes = 5'000'000;
  std::vector<Progress> seen;
  options.progress = [&](const Progress& progress) {
    seen.push_back(progress);
    return true;
  };
  ASSERT_TRUE(Synthesize(dir / "m", options).ok());
  uint64_t bytes = 0;
  for (const auto& file : std::filesystem::directory_iterator(dir / "m")) bytes += file.file_size();
  ASSERT_GT(seen.size(), 4u);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].total_bytes, bytes);
    EXPECT_GT(seen[i].done_bytes, i == 0 ? 0 : seen[i - 1].done_bytes);
  }
  EXPECT_EQ(seen.back().done_bytes, bytes);
  for (const size_t last : {size_t{1}, seen.size() / 2, seen.size()}) {
    size_t calls = 0;
    options.progress = [&](const Progress&) { return ++calls < last; };
    EXPECT_EQ(Synthesize(dir / "stopped/m", options).status().code(), ErrorCode::kCancelled);
    EXPECT_EQ(calls, last);
    EXPECT_FALSE(std::filesystem::exists(dir / "stopped")) << last;
  }
}

}  // namespace
}  // namespace qstore::make
