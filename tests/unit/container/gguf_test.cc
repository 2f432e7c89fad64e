// SPDX-License-Identifier: Apache-2.0
// How GGUF files are taken apart. docs/format-ggml.md, "GGUF".
#include "container/gguf/gguf.h"

#include <gtest/gtest.h>

#include "unit/container/gguf_layout.h"

namespace qstore::container {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using Type = GgufType;

TEST(Gguf, IsARowOfTheTable) {
  EXPECT_EQ(FindContainer(2), &Gguf());
  EXPECT_TRUE(Gguf().Claims("a/model.gguf"));
  EXPECT_FALSE(Gguf().Claims("model.gguf.txt"));
  const auto opened = OpenContainer("model.gguf", MemorySource(Sample().Bytes()));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->container, &Gguf());
}

TEST(Gguf, NamesOfModels) {
  const auto part = Gguf().PartOfModel("q/Tiny-1B-Q4_K_M-00002-of-00013.gguf");
  ASSERT_TRUE(part.has_value());
  EXPECT_EQ(part->model, "q/Tiny-1B-Q4_K_M");
  EXPECT_EQ(part->number, 2u);
  EXPECT_EQ(part->count, 13u);
  EXPECT_EQ(Gguf().PathOfPart(*part, 13), "q/Tiny-1B-Q4_K_M-00013-of-00013.gguf");
  for (const std::string name :
       {"m", "m-00000-of-00002", "m-00003-of-00002", "m-1-of-2", "m-00001-of-0002",
        "00001-of-00002", "-00001-of-00002", "q/-00001-of-00002", "m-0000x-of-00002",
        "m-00001-Of-00002", "m-00001-of-00002-x", "m_00001-of-00002"}) {
    const auto whole = Gguf().PartOfModel(name + ".gguf");
    ASSERT_TRUE(whole.has_value());
    EXPECT_EQ(whole->model, name);
    EXPECT_EQ(whole->count, 0u);
    EXPECT_EQ(Gguf().PathOfPart(*whole, 1), name + ".gguf");
  }
  EXPECT_EQ(FindClaimant("a/model.gguf"), &Gguf());
  EXPECT_EQ(FindClaimant("a/model.bin"), nullptr);
  const Container* other = FindClaimant("model-00001-of-00002.safetensors");
  ASSERT_NE(other, nullptr);
  EXPECT_FALSE(other->PartOfModel("model-00001-of-00002.safetensors").has_value());
}

TEST(Gguf, TensorsAreByPlace) {
  const Layout layout = Taken(Sample());
  ASSERT_EQ(layout.tensors.size(), 3u);
  EXPECT_EQ(layout.tensors[0].name, "norm");
  EXPECT_EQ(layout.tensors[1].name, "b.weight");
  EXPECT_EQ(layout.tensors[1].dtype, DType::kQ8_0);
  EXPECT_EQ(layout.tensors[1].shape, (std::vector<uint64_t>{2, 64}));
  EXPECT_EQ(layout.tensors[2].shape, (std::vector<uint64_t>{2, 2}));
  // Values, the list, padding; each tensor, with padding between them.
  EXPECT_EQ(layout.parts.size(), 3u + 5);
}

TEST(Gguf, Versions) {
  GgufFile file = Sample();
  file.version = 2;
  EXPECT_EQ(Taken(file).tensors.size(), 3u);
  for (const uint32_t version : {1U, 4U, 77U}) {
    file.version = version;
    ExpectRefused(file, "is not 2 or 3");
  }
  for (const uint32_t version : {0U, 0x03000000U, 0x02000000U}) {
    file.version = version;
    ExpectRefused(file, "is big-endian");
  }
  file.version = 3;
  file.magic = "GGML";
  ExpectRefused(file, "does not begin with GGUF");
}

TEST(Gguf, Alignments) {
  for (const uint32_t alignment : {1U, 2U, 8U, 64U, 4096U, 1U << 20}) {
    GgufFile file = Sample();
    EXPECT_EQ(Taken(file.Align(alignment)).tensors.size(), 3u) << alignment;
  }
  for (const uint32_t alignment : {0U, 3U, 24U, 1U << 21, 1U << 31}) {
    GgufFile file = Sample();
    ExpectRefused(file.U32("general.alignment", alignment), "is no power of two");
  }
  for (const Type type : {Type::kU8, Type::kI32, Type::kU64, Type::kF32, Type::kString}) {
    GgufFile file = Sample();
    ExpectRefused(file.Value("general.alignment", type, std::string(8, '\0')), "is no u32");
  }
}

TEST(Gguf, PaddingMayBeAnything) {
  GgufFile file = Sample();
  file.padding = 'p';
  file.between = std::string(100, 'x');
  const Layout layout = Taken(file);
  EXPECT_EQ(layout.tensors.size(), 3u);
  // Behind the last one too.
  EXPECT_EQ(layout.parts.back().size(), 100u);
  EXPECT_NE(layout.tensors.back().part, layout.parts.size() - 1);
}

TEST(Gguf, WithoutTensors) {
  GgufFile file;
  EXPECT_EQ(Taken(file).parts.size(), 1u);
  file.Text("general.architecture", "llama");
  EXPECT_EQ(Taken(file).tensors.size(), 0u);
  const std::string bytes = file.Bytes();
  const auto layout = Parsed(bytes + "more");
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->parts.back().size(), 4u);
  ExpectConsistent(bytes + "more", *layout);
}

TEST(Gguf, AnyRankAndTensorsWithoutElements) {
  GgufFile file;
  file.Add({"scalar", kF32, {}, "abcd"});
  file.Add({"four", kF32, {2, 1, 3, 1}, std::string(24, '4')});
  file.Add({"void", kF32, {5, 0}, ""});
  file.Add({"void blocks", kQ8_0, {32, 0}, ""});
  file.Add({"last", kF32, {1}, "last"});
  const Layout layout = Taken(file);
  ASSERT_EQ(layout.tensors.size(), 5u);
  for (const Tensor& tensor : layout.tensors) {
    if (tensor.name == "four") {
      EXPECT_EQ(tensor.shape, (std::vector<uint64_t>{1, 3, 1, 2}));
    }
    EXPECT_EQ(tensor.shape.empty(), tensor.name == "scalar");
  }
}

TEST(Gguf, EveryTypeOfTensors) {
  GgufFile file;
  size_t blocks = 0;
  for (uint32_t number = 0; number < 64; ++number) {
    const auto dtype = DTypeOfGgml(number);
    if (!dtype) continue;
    EXPECT_EQ(GgmlOfDType(*dtype), number);
    blocks += DTypeBlock(*dtype) > 1 ? 1 : 0;
    file.Add(BlockTensor(*dtype, "t" + std::to_string(number), 3, 2));
  }
  EXPECT_EQ(blocks, 27u);
  EXPECT_EQ(file.tensors.size(), 35u);
  const Layout layout = Taken(file);
  for (const Tensor& tensor : layout.tensors) {
    EXPECT_EQ(tensor.shape, (std::vector<uint64_t>{3, 2 * uint64_t{DTypeBlock(tensor.dtype)}}));
  }
  // Those that ggml had, and has not yet.
  for (const uint32_t number : {4U, 5U, 31U, 32U, 33U, 36U, 37U, 38U, 43U, 44U, 1000U, ~0U}) {
    GgufFile other = Sample();
    ExpectRefused(other.Add({"odd", number, {32}, std::string(64, 'o')}),
                  "type " + std::to_string(number) + " is unknown");
  }
}

TEST(Gguf, EveryTypeOfValues) {
  GgufFile file = Sample();
  const size_t sizes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  for (uint32_t number = 0; number < std::size(sizes); ++number) {
    const std::string key = "k" + std::to_string(number);
    const auto type = static_cast<Type>(number);
    if (sizes[number] == 0) continue;
    file.Value(key, type, std::string(sizes[number], 'v'));
    for (const uint64_t count : {0, 3}) {
      Fields array = GgufFile::ArrayOf(type, count);
      array.Raw(std::string(count * sizes[number], 'v'));
      file.Value(key + ".array" + std::to_string(count), Type::kArray, array.bytes());
    }
  }
  EXPECT_EQ(Taken(file).tensors.size(), 3u);
  for (const uint32_t number : {13U, 99U, ~0U}) {
    GgufFile odd = Sample();
    ExpectRefused(odd.Value("odd", static_cast<Type>(number), "12345678"), "its type is unknown");
    GgufFile array = Sample();
    array.Value("odd", Type::kArray, GgufFile::ArrayOf(static_cast<Type>(number), 1).bytes());
    ExpectRefused(array, "is an array of neither numbers nor strings");
  }
  const std::string inner = GgufFile::ArrayOf(Type::kU8, 1).Raw("x").bytes();
  const std::string nested = GgufFile::ArrayOf(Type::kArray, 1).Raw(inner).bytes();
  ExpectRefused(Sample().Value("odd", Type::kArray, nested), "is an array of neither");
}

TEST(Gguf, LargeValuesArePartsOfTheirOwn) {
  GgufFile file;
  file.Text("small", std::string(503, 's'));
  file.Text("large", std::string(504, 'l'));
  file.Text("next", std::string(2000, 'n'));
  file.Texts("tokens", std::vector<std::string>(100, "token"));
  file.Add({"w", kF32, {1}, "wwww"});
  const Layout layout = Taken(file);
  std::vector<std::string> names;
  for (const Part& part : layout.parts) names.push_back(part.name);
  EXPECT_EQ(names,
            (std::vector<std::string>{"", "large", "", "next", "", "tokens", "tensors", "", ""}));
  EXPECT_EQ(layout.parts[1].size(), 512u);
  EXPECT_EQ(layout.parts[5].size(), 12u + 100 * 13);
  EXPECT_EQ(layout.tensors[0].part, 8u);
}

}  // namespace
}  // namespace qstore::container
