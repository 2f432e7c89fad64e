// SPDX-License-Identifier: Apache-2.0
// What comes out, byte for byte, is compared with llama.cpp in tests/python/test_gguf_quantize.py.
#include "qstore_apps/quantize_gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "apps/make/gguf/gguf_files.h"
#include "qstore/gguf.h"
#include "unit/test_files.h"

namespace qstore::make {
namespace {

namespace fs = std::filesystem;
using qstore::testing::MemorySource;
using qstore::testing::ReadFile;
using qstore::testing::TempDir;
using qstore::testing::WriteFile;
using testing::FloatBytes;
using testing::GgufFile;

std::vector<float> Waves(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i * i % 1009));
  return values;
}

GgufFile ModelKeys() {
  GgufFile file;
  file.Number("general.file_type", 0);
  file.Text("general.architecture", "llama");
  file.Number("general.quantization_version", 1);
  file.Number("llama.block_count", 1).Number("llama.attention.head_count", 4);
  return file;
}

std::string SmallModel(const std::vector<float>& weights = Waves(1024)) {
  GgufFile file = ModelKeys();
  file.Tensor("output_norm.weight", 0, {256}, FloatBytes(Waves(256)));
  file.Tensor("blk.0.attn_q.weight", 0, {256, 4}, FloatBytes(weights));
  return file.bytes();
}

Result<std::vector<GgufReport>> MakeOf(const TempDir& dir, const std::string& model,
                                       const std::vector<std::string>& targets,
                                       GgufOptions options = {}) {
  WriteFile(dir / "m-f32.gguf", model);
  options.sync = false;
  return QuantizeGguf(dir / "m-f32.gguf", dir / "out", targets, options);
}

void ExpectRefused(const std::string& model, const std::string& target, const std::string& part,
                   const GgufOptions& options = {}, ErrorCode code = ErrorCode::kInvalidArgument) {
  const TempDir dir;
  const auto made = MakeOf(dir, model, {target}, options);
  ASSERT_FALSE(made.ok()) << part;
  EXPECT_EQ(made.status().code(), code);
  EXPECT_NE(made.status().message().find(part), std::string::npos) << made.status().ToString();
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(QuantizeGguf, WritesEachTargetUnderItsName) {
  const TempDir dir;
  const auto made = MakeOf(dir, SmallModel(), {"q8_0", "Q4_K"});
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  ASSERT_EQ(made->size(), 2u);
  EXPECT_EQ((*made)[0].file, dir / "out/m-Q8_0.gguf");
  EXPECT_EQ((*made)[1].file, dir / "out/m-Q4_K_M.gguf");
  EXPECT_EQ((*made)[1].tensors[1].to, DType::kQ4K);
  EXPECT_EQ(fs::file_size((*made)[1].file), (*made)[1].output_bytes);
  EXPECT_EQ(qstore::testing::EntryCount(dir / "out"), 2u);
}

TEST(QuantizeGguf, HeadHasNewValuesAtItsEnd) {
  const TempDir dir;
  ASSERT_TRUE(MakeOf(dir, SmallModel(), {"q8_0"}).ok());
  const MemorySource file(ReadFile(dir / "out/m-Q8_0.gguf"));
  const auto head = ReadGguf(file);
  ASSERT_TRUE(head.ok()) << head.status().ToString();
  std::vector<std::string> keys;
  for (const GgufEntry& entry : head->entries) keys.push_back(entry.key);
  EXPECT_EQ(keys, (std::vector<std::string>{"general.architecture", "llama.block_count",
                                            "llama.attention.head_count",
                                            "general.quantization_version", "general.file_type"}));
  ASSERT_EQ(head->tensors.size(), 2u);
  EXPECT_EQ(head->tensors[1].dtype, DType::kQ8_0);
  EXPECT_EQ(head->tensors[1].byte_size, 1024u / 32 * 34);
  EXPECT_EQ(file.size() % 32, 0u);
}

TEST(QuantizeGguf, DryRunWritesNothing) {
  const TempDir dir;
  GgufOptions options;
  options.dry_run = true;
  const auto made = MakeOf(dir, SmallModel(), {"q4_0"}, options);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ((*made)[0].tensors[1].to, DType::kQ4_0);
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(QuantizeGguf, OutputIsNotOverwrittenUnasked) {
  const TempDir dir;
  WriteFile(dir / "out/m-Q8_0.gguf", "old");
  EXPECT_EQ(MakeOf(dir, SmallModel(), {"q4_0", "q8_0"}).status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(dir / "out/m-Q8_0.gguf"), "old");
  EXPECT_EQ(qstore::testing::EntryCount(dir / "out"), 1u);
  GgufOptions options;
  options.overwrite = true;
  EXPECT_TRUE(MakeOf(dir, SmallModel(), {"q4_0", "q8_0"}, options).ok());
  EXPECT_NE(ReadFile(dir / "out/m-Q8_0.gguf"), "old");
  WriteFile(dir / "m-Q8_0.gguf", SmallModel());
  const std::vector<std::string> same = {"q8_0"};
  EXPECT_EQ(QuantizeGguf(dir / "m-Q8_0.gguf", dir.path(), same, options).status().code(),
            ErrorCode::kInvalidArgument);
}

TEST(QuantizeGguf, FewBitsAreQuantizedAgainOnlyWhenAllowed) {
  const TempDir dir;
  ASSERT_TRUE(MakeOf(dir, SmallModel(), {"q8_0"}).ok());
  const std::string q8 = ReadFile(dir / "out/m-Q8_0.gguf");
  ExpectRefused(q8, "q4_0", "tensor 'blk.0.attn_q.weight': is Q8_0 already");
  GgufOptions options;
  options.allow_requantize = true;
  const TempDir again;
  EXPECT_TRUE(MakeOf(again, q8, {"q4_0"}, options).ok());
  ExpectRefused(q8, "q8_0", "every tensor has the type already", options);
}

TEST(QuantizeGguf, BadInputIsRefused) {
  const std::string model = SmallModel();
  ExpectRefused(model, "q4_2", "'q4_2' is no precision");
  ExpectRefused(model.substr(0, model.size() - 1), "q4_0",
                "m-f32.gguf: tensor 'blk.0.attn_q.weight': reaches beyond the file", {},
                ErrorCode::kCorrupt);
  ExpectRefused("text", "q4_0", "does not begin with GGUF", {}, ErrorCode::kCorrupt);
  ExpectRefused(GgufFile().bytes(), "q4_0", "general.architecture");
  ExpectRefused(ModelKeys().Number("split.count", 2).bytes(), "q4_0", "one of 2 parts");
  ExpectRefused(model, "q2_k_s", "tensor 'blk.0.attn_q.weight': Q2_K_S needs importance");
  std::vector<float> weights = Waves(1024);
  weights[700] = std::numeric_limits<float>::quiet_NaN();
  ExpectRefused(SmallModel(weights), "q4_0", "tensor 'blk.0.attn_q.weight': holds infinity or NaN");
  weights[700] = 1e30f;
  ExpectRefused(SmallModel(weights), "q8_0", "beyond what Q8_0 can hold");
  const TempDir dir;
  EXPECT_NE(MakeOf(dir, model, {"q4_k", "q4_k_m"}).status().message().find("asked for twice"),
            std::string::npos);
}

TEST(QuantizeGguf, ImportanceOfAnotherSizeIsRefused) {
  const TempDir dir;
  GgufFile importance;
  importance.Texts("imatrix.datasets", "x").Number("imatrix.chunk_count", 1);
  importance.Number("imatrix.chunk_size", 1);
  importance.Tensor("blk.0.attn_q.weight.in_sum2", 0, {32}, FloatBytes(Waves(32)));
  importance.Tensor("blk.0.attn_q.weight.counts", 0, {1}, FloatBytes({1}));
  WriteFile(dir / "i.gguf", importance.bytes());
  GgufOptions options;
  options.importance = dir / "i.gguf";
  ExpectRefused(SmallModel(), "q4_0", "has 32 numbers for its 256 columns", options);
}

TEST(QuantizeGguf, ProgressEndsAtTheTotalAndStopsWhenAsked) {
  const TempDir dir;
  GgufOptions options;
  Progress last;
  options.progress = [&](const Progress& progress) {
    last = progress;
    return true;
  };
  const auto made = MakeOf(dir, SmallModel(), {"q4_0", "q8_0"}, options);
  ASSERT_TRUE(made.ok()) << made.status().ToString();
  EXPECT_EQ(last.done_bytes, last.total_bytes);
  EXPECT_EQ(last.total_bytes, 2u * 1280 * 4);
  options.progress = [](const Progress&) { return false; };
  ExpectRefused(SmallModel(), "q4_0", "stopped", options, ErrorCode::kCancelled);
}

}  // namespace
}  // namespace qstore::make
