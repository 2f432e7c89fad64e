// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "qstore/verify.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

// Packs, verifies against the originals and compares what every variant unpacks to.
void ExpectRoundTrip(const std::vector<VariantSource>& variants) {
  const TempDir dir;
  const Archive archive = PackAndOpen(variants, dir / "m.qstore");
  const auto verified = Verify(archive, variants);
  EXPECT_TRUE(verified.ok()) << verified.status().ToString();
  for (const VariantSource& variant : variants) {
    const bool is_file = fs::is_regular_file(variant.path);
    const auto original =
        is_file ? std::map<std::string, std::string>{{variant.path.filename().string(),
                                                      ReadFile(variant.path)}}
                : ReadTree(variant.path);
    EXPECT_TRUE(Unpacked(archive, variant.name) == original) << variant.name;
  }
}

TEST(RoundTrip, PairOfEveryFloatType) {
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const TempDir dir;
    WritePair(dir / "high", dir / "low", 300, 1000, dtype);
    ExpectRoundTrip({{"high", dir / "high"}, {"low", dir / "low"}});
  }
}

TEST(RoundTrip, TensorsOfSeveralChunksAndParents) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low", 1100, 700);
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  ExpectRoundTrip(variants);
  const Archive archive = PackAndOpen(variants, dir / "m.qstore");
  // The quantized variant comes first and explains the other, whatever the order given.
  EXPECT_EQ(archive.variant(0).name, "low");
  const auto codings = *archive.CodingsOf(1);
  const auto a = archive.FindTensor(1, "a.weight");
  ASSERT_TRUE(a.ok());
  const TensorCoding& coding = codings[*a - archive.variant(1).first_tensor];
  EXPECT_EQ(coding.scheme, "llm-int8");
  EXPECT_EQ(coding.parents, (std::vector<size_t>{*archive.FindTensor(0, "a.weight"),
                                                 *archive.FindTensor(0, "a.SCB")}));
  EXPECT_LT(coding.stored_bytes * 8, 1100u * 700 * 4);
}

TEST(RoundTrip, OneFileAndOneVariant) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low");
  ExpectRoundTrip({{"only", dir / "high"}});
  ExpectRoundTrip({{"only", dir / "low/model.safetensors"}});
  ExpectRoundTrip({{"a", dir / "high/model.safetensors"}, {"b", dir / "low"}});
}

TEST(RoundTrip, EveryTypeAndOddShapes) {
  const TempDir dir;
  std::vector<TestTensor> tensors;
  for (unsigned d = 0; d < kSafetensorsDTypeCount; ++d) {
    const auto dtype = static_cast<DType>(d);
    const std::string name(DTypeName(dtype));
    tensors.push_back({name + ".matrix", dtype, {8, 12}, RandomBytes(12 * DTypeBits(dtype), d)});
    tensors.push_back({name + ".empty", dtype, {0, 7}, {}});
    if (DTypeBits(dtype) % 8 == 0) {
      tensors.push_back({name + ".scalar", dtype, {}, RandomBytes(DTypeBits(dtype) / 8, d)});
      tensors.push_back(
          {name + ".deep", dtype, {1, 3, 1, 2, 1}, RandomBytes(6 * DTypeBits(dtype) / 8, d)});
    }
  }
  tensors.push_back({"", DType::kU8, {3}, RandomBytes(3, 1)});
  tensors.push_back({"name with \"quotes\"\n", DType::kU8, {3}, RandomBytes(3, 2)});
  WriteSafetensors(dir / "m/model.safetensors", tensors);
  ExpectRoundTrip({{"m", dir / "m"}});
}

TEST(RoundTrip, FilesThatAreNoModels) {
  const TempDir dir;
  const std::string random(reinterpret_cast<const char*>(RandomBytes(3 << 20, 5).data()), 3 << 20);
  WriteFile(dir / "m/large.bin", random);
  WriteFile(dir / "m/text", std::string(700000, 'x'));
  WriteFile(dir / "m/empty", "");
  WriteFile(dir / "m/a/b/c/deep", "deep");
  WriteFile(dir / "m/a-b", "sorts between a and a/b by bytes");
  WriteFile(dir / "m/broken.safetensors", "\x10\0\0\0\0\0\0\0{\"a\":1}         ");
  WriteFile(dir / "m/short.safetensors", "x");
  WriteFile(dir / "m/huge.safetensors", std::string(8, '\xff') + "{}");
  WriteFile(dir / "m/\xc3\xa4 \xf0\x9f\x98\x80", "name");
  ExpectRoundTrip({{"m", dir / "m"}});
}

TEST(RoundTrip, EqualContentIsStoredOnce) {
  const TempDir dir;
  const auto big = RandomBytes(5 << 20, 1);
  const auto other = RandomBytes(5 << 20, 2);
  const uint64_t size = big.size();
  WriteSafetensors(dir / "a/model.safetensors", {{"tied.1", DType::kU8, {size}, big},
                                                 {"tied.2", DType::kU8, {size}, big},
                                                 {"other", DType::kU8, {size}, other}});
  // The same in another file, order and shape.
  WriteSafetensors(dir / "b/x.safetensors", {{"renamed", DType::kU8, {size / 4, 4}, big}});
  fs::create_directories(dir / "c");
  fs::copy(dir / "a/model.safetensors", dir / "c/copy.safetensors");
  const std::vector<VariantSource> variants = {
      {"a", dir / "a"}, {"b", dir / "b"}, {"c", dir / "c"}};
  ExpectRoundTrip(variants);
  const Archive archive = PackAndOpen(variants, dir / "m.qstore");
  EXPECT_LT(archive.stored_bytes(), 2 * size + 10000);
}

TEST(RoundTrip, ContentThatDiffersOutsideTheSamplesIsToldApart) {
  const TempDir dir;
  const auto base = RandomBytes(3 << 20, 1);
  std::vector<TestTensor> tensors;
  for (int i = 0; i < 8; ++i) {
    auto content = base;
    content[(2 << 20) + 77] = static_cast<std::byte>(i / 2);
    tensors.push_back({"t" + std::to_string(i), DType::kU8, {base.size()}, content});
  }
  WriteSafetensors(dir / "m/model.safetensors", tensors);
  ExpectRoundTrip({{"m", dir / "m"}});
  const Archive archive = PackAndOpen({{"m", dir / "m"}}, dir / "m.qstore");
  EXPECT_LT(archive.stored_bytes(), 4 * base.size() + 10000);
}

TEST(RoundTrip, TwinOfAnotherModelCostsBytesOnly) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low", 300, 1000);
  WritePair(dir / "high2", dir / "low2", 310, 900);
  ExpectRoundTrip({{"high", dir / "high"}, {"low", dir / "low2"}});
  // Equal shapes, other weights: the twin's q and scales are those of b for a and so on.
  const WeightPair a = MakePair(DType::kBF16, 300, 1000, 1);
  const WeightPair z = MakePair(DType::kBF16, 300, 1000, 9);
  WriteSafetensors(dir / "x/m.safetensors", {{"w.weight", DType::kBF16, {300, 1000}, a.high}});
  WriteSafetensors(dir / "y/m.safetensors", {{"w.weight", DType::kI8, {300, 1000}, z.q},
                                             {"w.SCB", DType::kF32, {300}, z.scales}});
  const std::vector<VariantSource> wrong = {{"x", dir / "x"}, {"y", dir / "y"}};
  ExpectRoundTrip(wrong);
  const uint64_t together = PackAndOpen(wrong, dir / "both.qstore").stored_bytes();
  const uint64_t x = PackAndOpen({wrong[0]}, dir / "x.qstore").stored_bytes();
  const uint64_t y = PackAndOpen({wrong[1]}, dir / "y.qstore").stored_bytes();
  EXPECT_LE(together, x + y);
}

TEST(RoundTrip, ChainsAndSeveralVariants) {
  const TempDir dir;
  const WeightPair f32 = MakePair(DType::kF32, 200, 600, 1);
  std::vector<std::byte> bf16;
  std::vector<std::byte> f16;
  for (size_t i = 0; i < f32.high.size(); i += 4) {
    const float value = PatternValue(DType::kF32, f32.high.data() + i);
    AppendPattern(DType::kBF16, value, &bf16);
    AppendPattern(DType::kF16, value, &f16);
  }
  const std::vector<uint64_t> shape = {200, 600};
  WriteSafetensors(dir / "f32/m.safetensors", {{"w.weight", DType::kF32, shape, f32.high}});
  WriteSafetensors(dir / "bf16/m.safetensors", {{"w.weight", DType::kBF16, shape, bf16}});
  WriteSafetensors(dir / "f16/m.safetensors", {{"w.weight", DType::kF16, shape, f16}});
  WriteSafetensors(dir / "int8/m.safetensors", {{"w.weight", DType::kI8, shape, f32.q},
                                                {"w.SCB", DType::kF32, {200}, f32.scales}});
  ExpectRoundTrip(
      {{"f32", dir / "f32"}, {"bf16", dir / "bf16"}, {"f16", dir / "f16"}, {"int8", dir / "int8"}});
}

TEST(RoundTrip, ComponentsWithEqualTensorNames) {
  const TempDir dir;
  for (const char* part : {"unet", "vae"}) {
    WritePair(dir / "high" / part, dir / "low" / part, part[0] == 'u' ? 100 : 120, 800);
  }
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  ExpectRoundTrip(variants);
  const Archive archive = PackAndOpen(variants, dir / "m.qstore");
  const VariantInfo high = archive.variant(1);
  const auto codings = *archive.CodingsOf(1);
  for (size_t t = 0; t < high.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(high.first_tensor + t);
    if (!tensor.name.ends_with("a.weight")) continue;
    EXPECT_EQ(codings[t].scheme, "llm-int8");
    const TensorInfo parent = archive.tensor(codings[t].parents.at(0));
    EXPECT_EQ(archive.file(parent.file).path, archive.file(tensor.file).path);
  }
}

TEST(RoundTrip, BytesDoNotDependOnThreadsOrMemory) {
  const TempDir dir;
  WritePair(dir / "high", dir / "low", 1100, 700);
  const std::vector<VariantSource> variants = {{"high", dir / "high"}, {"low", dir / "low"}};
  std::string first;
  for (const unsigned threads : {1U, 2U, 7U}) {
    PackOptions options;
    options.threads = threads;
    options.memory_limit = threads == 2 ? 1 : uint64_t{1} << 30;
    PackAndOpen(variants, dir / "m.qstore", options);
    const std::string bytes = ReadFile(dir / "m.qstore");
    if (first.empty()) first = bytes;
    EXPECT_TRUE(bytes == first) << threads;
  }
}

TEST(RoundTrip, ManyTinyTensors) {
  const TempDir dir;
  std::vector<TestTensor> tensors;
  for (uint32_t i = 0; i < 2000; ++i) {
    const std::string name = "model.layers." + std::to_string(i / 100) + ".mlp.experts." +
                             std::to_string(i % 100) + ".down_proj.weight";
    tensors.push_back({name, DType::kBF16, {4, 8}, RandomBytes(64, i)});
  }
  WriteSafetensors(dir / "m/model.safetensors", tensors);
  ExpectRoundTrip({{"m", dir / "m"}});
}

}  // namespace
}  // namespace qstore
