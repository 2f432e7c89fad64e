// SPDX-License-Identifier: Apache-2.0
// GGUF files beside the weights that they are made of: what follows from what.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "scheme/ggml/block_values.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/ggml/search/search.h"
#include "scheme/registry.h"
#include "store/archive_file.h"
#include "unit/container/gguf_file.h"
#include "unit/container/imatrix_file.h"
#include "unit/store/edited_index.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using scheme::ggml::GgmlParams;

constexpr uint64_t kRows = 64;
constexpr uint64_t kColumns = 512;

std::string BlocksOf(DType type, const std::vector<float>& weights,
                     const std::vector<float>& importance = {}) {
  const auto scratch = std::make_unique<scheme::ggml::SearchScratch>();
  std::string out(weights.size() / DTypeBlock(type) * DTypeBits(type) / 8, '\0');
  scheme::ggml::QuantizeRows(type, weights, kColumns, importance,
                             std::as_writable_bytes(std::span(out)), scratch.get());
  return out;
}

std::vector<float> ValuesOf(const std::vector<std::byte>& bf16) {
  std::vector<float> values(bf16.size() / 2);
  for (size_t i = 0; i < values.size(); ++i) values[i] = PatternValue(DType::kBF16, &bf16[2 * i]);
  return values;
}

uint32_t NumberOf(DType type) {
  for (uint32_t number = 0; number < 64; ++number) {
    if (container::DTypeOfGgml(number) == type) return number;
  }
  return 0;
}

class GgufLadder : public ::testing::Test {
 protected:
  GgufLadder() : high_(MakePair(DType::kBF16, kRows, kColumns, 3).high), values_(ValuesOf(high_)) {
    WriteSafetensors(
        dir_ / "hf/model.safetensors",
        {{"model.layers.0.mlp.up_proj.weight", DType::kBF16, {kRows, kColumns}, high_}});
  }

  void WriteBlocks(const std::string& name, DType type, const std::vector<float>& importance = {}) {
    GgufFile file;
    file.Text("general.name", name);
    file.Add({"blk.0.ffn_up.weight",
              NumberOf(type),
              {kColumns, kRows},
              BlocksOf(type, values_, importance)});
    WriteFile(dir_ / (name + "/m.gguf"), file.Bytes());
  }

  // Opens what is packed of those variants, all of which come back.
  Archive Packed(const std::vector<std::string>& names, Level level) {
    std::vector<VariantSource> sources;
    for (const std::string& name : names) sources.push_back({name, dir_ / name});
    PackOptions options;
    options.level = level;
    Archive archive = PackAndOpen(sources, dir_ / "m.qstore", options);
    for (const std::string& name : names) {
      EXPECT_TRUE(Unpacked(archive, name) == ReadTree(dir_ / name)) << name;
    }
    return archive;
  }

  static const format::ObjectEntry& ObjectOf(const Archive& archive, std::string_view variant,
                                             std::string_view tensor) {
    const format::Index& index = archive.impl().index();
    const size_t t = *archive.FindTensor(*archive.FindVariant(variant), tensor);
    return index.objects[index.parts[index.tensors[t].part]];
  }
  static uint64_t StoredBytes(const Archive& archive, const format::ObjectEntry& object) {
    uint64_t stored = 0;
    for (uint32_t c = 0; c < object.chunk_count; ++c) {
      stored += archive.impl().index().chunks[object.first_chunk + c].stored_size;
    }
    return stored;
  }
  static GgmlParams ParamsOf(const format::ObjectEntry& object) {
    return scheme::ggml::ReadGgmlParams(object.params).value();
  }

  TempDir dir_;
  std::vector<std::byte> high_;
  std::vector<float> values_;
};

constexpr std::string_view kUp = "blk.0.ffn_up.weight";

TEST_F(GgufLadder, SearchesAreForTheLevelThatAsksForThem) {
  WriteBlocks("q4", DType::kQ4K);
  WriteBlocks("q8", DType::kQ8_0);
  for (const Level level : {Level::kBalanced, Level::kMax}) {
    const Archive archive = Packed({"hf", "q4", "q8"}, level);
    const auto& q4 = ObjectOf(archive, "q4", kUp);
    const auto& q8 = ObjectOf(archive, "q8", kUp);
    EXPECT_EQ(ParamsOf(q4).is_replayed, level == Level::kMax);
    EXPECT_EQ(StoredBytes(archive, q4) == 0, level == Level::kMax);
    EXPECT_TRUE(ParamsOf(q8).is_replayed) << "rounding alone is fast";
    EXPECT_EQ(StoredBytes(archive, q8), 0u);
  }
}

TEST_F(GgufLadder, OtherBlocksAreAskedWhereWeightsTellNothing) {
  WriteBlocks("q4", DType::kQ4K);
  WriteBlocks("q8", DType::kQ8_0);
  const Archive without = Packed({"q4", "q8"}, Level::kMax);
  EXPECT_EQ(ParamsOf(ObjectOf(without, "q4", kUp)).parent_dtype, DType::kQ8_0);
  EXPECT_EQ(ObjectOf(without, "q8", kUp).scheme, kNoScheme);
  const Archive with = Packed({"q4", "q8", "hf"}, Level::kMax);
  EXPECT_EQ(ParamsOf(ObjectOf(with, "q4", kUp)).parent_dtype, DType::kBF16);
}

TEST_F(GgufLadder, ASideTellsImportance) {
  std::vector<float> sums(kColumns), importance(kColumns);
  for (size_t c = 0; c < kColumns; ++c) {
    sums[c] = static_cast<float>(c % 97 + 1);
    importance[c] = sums[c] / 5;
  }
  WriteBlocks("q4", DType::kQ4K, importance);
  GgufFile file;
  const float count = 5;
  const auto bytes = [](const float* at, size_t n) {
    return std::string(reinterpret_cast<const char*>(at), n * sizeof(float));
  };
  file.Add({std::string(kUp) + ".in_sum2", 0, {kColumns, 1}, bytes(sums.data(), kColumns)});
  file.Add({std::string(kUp) + ".counts", 0, {1, 1}, bytes(&count, 1)});
  WriteFile(dir_ / "imatrix/i.gguf", file.Bytes());
  const Archive archive = Packed({"q4", "hf", "imatrix"}, Level::kMax);
  const auto& q4 = ObjectOf(archive, "q4", kUp);
  EXPECT_TRUE(ParamsOf(q4).has_importance);
  EXPECT_EQ(q4.parents.size(), 3u);
  EXPECT_EQ(StoredBytes(archive, q4), 0u);
  const Archive without = Packed({"q4", "hf"}, Level::kMax);
  EXPECT_GT(StoredBytes(without, ObjectOf(without, "q4", kUp)), 100u);
}

TEST_F(GgufLadder, SoDoesASideOfTheOlderForm) {
  std::vector<float> values(kColumns), importance(kColumns);
  for (const int32_t calls : {5, 0, -3}) {
    for (size_t c = 0; c < kColumns; ++c) {
      values[c] = static_cast<float>(c % 97 + 1);
      importance[c] = calls > 0 ? values[c] / static_cast<float>(calls) : values[c];
    }
    WriteBlocks("q4", DType::kQ4K, importance);
    WriteFile(dir_ / "imatrix/i.dat", ImatrixFile().Add(kUp, calls, values).Bytes());
    const Archive archive = Packed({"q4", "hf", "imatrix"}, Level::kMax);
    const auto& q4 = ObjectOf(archive, "q4", kUp);
    EXPECT_TRUE(ParamsOf(q4).counts_are_calls);
    EXPECT_EQ(StoredBytes(archive, q4), 0u) << calls;
  }
}

std::vector<std::byte> Transposed(const std::vector<std::byte>& bf16) {
  std::vector<std::byte> out(bf16.size());
  for (size_t i = 0; i < bf16.size() / 2; ++i) {
    const size_t to = i % kColumns * kRows + i / kColumns;
    std::copy_n(&bf16[2 * i], 2, &out[2 * to]);
  }
  return out;
}

TEST_F(GgufLadder, CheckpointsMayHaveMatricesTransposed) {
  WriteSafetensors(
      dir_ / "gpt2/model.safetensors",
      {{"transformer.h.0.mlp.c_fc.weight", DType::kBF16, {kColumns, kRows}, Transposed(high_)}});
  WriteBlocks("q4", DType::kQ4K);
  WriteBlocks("q8", DType::kQ8_0);
  GgufFile file;
  const std::string_view high(reinterpret_cast<const char*>(high_.data()), high_.size());
  file.Add({std::string(kUp), NumberOf(DType::kBF16), {kColumns, kRows}, std::string(high)});
  WriteFile(dir_ / "bf16/m.gguf", file.Bytes());
  for (const Level level : {Level::kBalanced, Level::kMax}) {
    for (const char* name : {"q4", "q8", "bf16"}) {
      const Archive archive = Packed({"gpt2", name}, level);
      const auto& object = ObjectOf(archive, name, kUp);
      EXPECT_TRUE(ParamsOf(object).is_transposed) << name;
      EXPECT_LE(StoredBytes(archive, object), object.byte_size / (name[1] == '4' ? 8 : 1000));
    }
    Packed({"gpt2", "q4", "q8", "bf16", "hf"}, level);
  }
}

TEST_F(GgufLadder, ManyParentsTakeLittleMemory) {
  constexpr uint32_t kExperts = 300;
  std::vector<TestTensor> experts;
  std::string blocks;
  for (uint32_t e = 0; e < kExperts; ++e) {
    std::vector<std::byte> content = MakePair(DType::kBF16, 16, kColumns, 10 + e).high;
    blocks += BlocksOf(DType::kQ8_0, ValuesOf(content));
    experts.push_back({"model.layers.0.mlp.experts." + std::to_string(e) + ".up_proj.weight",
                       DType::kBF16,
                       {16, kColumns},
                       std::move(content)});
  }
  WriteSafetensors(dir_ / "experts/model.safetensors", experts);
  GgufFile file;
  file.Add({"blk.0.ffn_up_exps.weight", NumberOf(DType::kQ8_0), {kColumns, 16, kExperts}, blocks});
  WriteFile(dir_ / "q8/m.gguf", file.Bytes());
  const Archive packed = Packed({"experts", "q8"}, Level::kBalanced);
  const auto& object = ObjectOf(packed, "q8", "blk.0.ffn_up_exps.weight");
  EXPECT_EQ(object.parents.size(), kExperts);
  EXPECT_EQ(ParamsOf(object).matrices, kExperts);
  EXPECT_EQ(StoredBytes(packed, object), 0u);
  OpenOptions options;
  options.max_memory = uint64_t{32} << 20;
  const auto archive = Archive::Open(dir_ / "m.qstore", options);
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  std::vector<std::byte> out(blocks.size());
  const size_t tensor =
      *archive->FindTensor(*archive->FindVariant("q8"), "blk.0.ffn_up_exps.weight");
  const Status status = archive->ReadTensor(tensor, out, 1);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(std::ranges::equal(out, Bytes(blocks)));
}

}  // namespace
}  // namespace qstore
