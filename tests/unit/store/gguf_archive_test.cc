// SPDX-License-Identifier: Apache-2.0
// Archives of GGUF files: whatever is in them comes back, and tensors are what the head says.
#include <gtest/gtest.h>

#include <algorithm>

#include "io/safetensors.h"
#include "qstore/verify.h"
#include "store/archive_file.h"
#include "unit/container/gguf_file.h"
#include "unit/store/edited_index.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using format::Index;

constexpr uint32_t kF32 = 0;

std::vector<std::string> Vocabulary() {
  std::vector<std::string> tokens;
  for (int i = 0; i < 500; ++i) tokens.push_back("token " + std::to_string(i * 7919));
  return tokens;
}

// A model of blocks, its tensors not by name.
GgufFile Model(uint32_t seed) {
  GgufFile file;
  file.Text("general.name", "model " + std::to_string(seed));
  file.Texts("tokenizer.ggml.tokens", Vocabulary());
  file.U32("general.file_type", seed);
  file.Add(BlockTensor(DType::kQ4K, "b.weight", 6, 2, seed));
  file.Add(BlockTensor(DType::kQ4K, "a.weight", 6, 2, seed + 1));
  file.Add(BlockTensor(DType::kQ8_0, "c.weight", 2, 4, seed + 2));
  file.Add({"norm", kF32, {3}, std::string(12, 'n')});
  return file;
}

class GgufArchive : public ::testing::Test {
 protected:
  void ExpectRoundTrip(const std::string& bytes, std::string_view container) {
    WriteFile(dir_ / "in/m.gguf", bytes);
    const Archive archive = PackAndOpen({{"v", dir_ / "in"}}, dir_ / "m.qstore");
    EXPECT_EQ(archive.file(0).container, container);
    const auto verified = Verify(archive, {});
    EXPECT_TRUE(verified.ok()) << verified.status().ToString();
    EXPECT_TRUE(Unpacked(archive, "v")["m.gguf"] == bytes);
  }
  void ExpectRoundTrip(const GgufFile& file) { ExpectRoundTrip(file.Bytes(), "gguf"); }

  TempDir dir_;
};

TEST_F(GgufArchive, OrdinaryFilesComeBack) {
  ExpectRoundTrip(Model(1));
  GgufFile version2 = Model(2);
  version2.version = 2;
  version2.padding = 'x';
  version2.between = std::string(50, 'y');
  ExpectRoundTrip(version2);
  GgufFile aligned = Model(3);
  ExpectRoundTrip(aligned.Align(8));
  ExpectRoundTrip(GgufFile());
  GgufFile vocabulary;
  ExpectRoundTrip(vocabulary.Texts("tokenizer.ggml.tokens", Vocabulary()));
  GgufFile small;
  small.Add({"scalar", kF32, {}, "abcd"}).Add({"void", kF32, {0, 7}, ""});
  ExpectRoundTrip(small.Add({"four", kF32, {2, 1, 3, 1}, std::string(24, '4')}));
}

TEST_F(GgufArchive, EveryTypeComesBackAtEveryLevel) {
  GgufFile file;
  std::map<std::string, std::string> contents;
  for (uint32_t number = 0; number < 64; ++number) {
    const auto dtype = container::DTypeOfGgml(number);
    if (!dtype) continue;
    const GgufTestTensor tensor = BlockTensor(*dtype, "t" + std::to_string(number), 5, 8, number);
    contents[tensor.name] = tensor.content;
    file.Add(tensor);
  }
  WriteFile(dir_ / "m.gguf", file.Bytes());
  for (const Level level : {Level::kFast, Level::kBalanced, Level::kMax}) {
    PackOptions options;
    options.level = level;
    const Archive archive = PackAndOpen({{"v", dir_ / "m.gguf"}}, dir_ / "m.qstore", options);
    EXPECT_TRUE(Unpacked(archive, "v")["m.gguf"] == file.Bytes());
    ASSERT_EQ(archive.variant(0).tensor_count, contents.size());
    for (size_t t = 0; t < archive.variant(0).tensor_count; ++t) {
      std::vector<std::byte> out(archive.tensor(t).byte_size);
      ASSERT_TRUE(archive.ReadTensor(t, out, 1).ok());
      EXPECT_TRUE(std::ranges::equal(out, Bytes(contents[std::string(archive.tensor(t).name)])));
    }
  }
}

TEST_F(GgufArchive, TensorsOfSeveralChunksAndTheirRows) {
  GgufFile file;
  const GgufTestTensor tensor = BlockTensor(DType::kQ6K, "w", 700, 6);
  file.Add(tensor).Add(BlockTensor(DType::kQ4_0, "list", 1, 20000, 3));
  file.tensors[1].dims = {640000};
  WriteFile(dir_ / "m.gguf", file.Bytes());
  const Archive archive = PackAndOpen({{"v", dir_ / "m.gguf"}}, dir_ / "m.qstore");
  EXPECT_TRUE(Unpacked(archive, "v")["m.gguf"] == file.Bytes());
  const size_t w = *archive.FindTensor(0, "w");
  const Index& index = archive.impl().index();
  const auto& object = index.objects[index.parts[index.tensors[w].part]];
  EXPECT_GT(object.chunk_count, 1u);
  EXPECT_EQ(object.row_elems, 6u);
  EXPECT_EQ(object.chunk_elems % object.row_elems, 0u);
  const size_t row = size_t{6} * 210;
  ASSERT_EQ(*archive.RowsByteSize(w, 1, 2), row);
  std::vector<std::byte> rows(400 * row);
  ASSERT_TRUE(archive.ReadRows(w, 250, 650, rows).ok());
  EXPECT_TRUE(std::ranges::equal(rows, Bytes(tensor.content).subspan(250 * row, rows.size())));
  // A weight is no whole number of bytes.
  const auto weight = archive.RowsByteSize(*archive.FindTensor(0, "list"), 0, 32);
  EXPECT_EQ(weight.status().code(), ErrorCode::kInvalidArgument);
}

TEST_F(GgufArchive, FilesThatAreNoneComeBackToo) {
  const std::string good = Model(1).Bytes();
  for (size_t size = 0; size < good.size(); size += 1 + size / 5) {
    ExpectRoundTrip(good.substr(0, size), "");
  }
  GgufFile old = Model(1);
  old.version = 1;
  ExpectRoundTrip(old.Bytes(), "");
  old.version = 0x03000000;
  ExpectRoundTrip(old.Bytes(), "");
  GgufFile odd = Model(1);
  ExpectRoundTrip(odd.Add({"odd", 31, {32}, std::string(18, 'o')}).Bytes(), "");
  GgufFile overlap = Model(1);
  ExpectRoundTrip(overlap.Add({"over", kF32, {1}, "over", 32}).Bytes(), "");
  GgufFile late;
  ExpectRoundTrip(late.Add({"t", kF32, {1}, std::string(36, 't'), 32}).Bytes(), "");
  GgufFile twice = Model(1);
  ExpectRoundTrip(twice.Text("general.name", "again").Bytes(), "");
  GgufFile many = Model(1);
  many.tensor_count = uint64_t{1} << 60;
  ExpectRoundTrip(many.Bytes(), "");
}

TEST_F(GgufArchive, FilesHaveLargeValuesInCommon) {
  WriteFile(dir_ / "m.gguf", Model(1).Bytes());
  WriteFile(dir_ / "n.gguf", Model(50).Bytes());
  const Archive archive =
      PackAndOpen({{"m", dir_ / "m.gguf"}, {"n", dir_ / "n.gguf"}}, dir_ / "m.qstore");
  const Index& index = archive.impl().index();
  const auto head_of = [&](size_t f) {
    const format::Range head = index.HeadOf(index.files[f]);
    return std::vector(index.parts.begin() + head.begin, index.parts.begin() + head.end);
  };
  const auto a = head_of(0);
  const auto b = head_of(1);
  // What is before the vocabulary, it, what is behind, the list of tensors, and padding.
  ASSERT_EQ(a.size(), b.size());
  ASSERT_GE(a.size(), 4u);
  EXPECT_NE(a[0], b[0]);
  EXPECT_EQ(a[1], b[1]);
  EXPECT_GT(index.objects[a[1]].byte_size, 5000u);
  EXPECT_NE(a[2], b[2]);
  EXPECT_EQ(a[3], b[3]) << "the lists of tensors are equal";
}

TEST_F(GgufArchive, TensorsTakenOutAreBytesOfSafetensors) {
  const GgufFile file = Model(1);
  WriteFile(dir_ / "m.gguf", file.Bytes());
  const Archive archive = PackAndOpen({{"v", dir_ / "m.gguf"}}, dir_ / "m.qstore");
  UnpackOptions options;
  options.sync = false;
  options.tensors = "*";
  ASSERT_TRUE(Unpack(archive, "v", dir_ / "out", options).ok());
  const std::string bytes = ReadFile(dir_ / "out/model.safetensors");
  const auto header = io::ReadSafetensorsHeader(MemorySource(bytes));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  ASSERT_EQ(header->tensors.size(), 4u);
  for (const io::SafetensorsTensor& tensor : header->tensors) {
    const auto of = std::ranges::find(file.tensors, tensor.name, &GgufTestTensor::name);
    EXPECT_EQ(bytes.substr(tensor.begin, tensor.end - tensor.begin), of->content);
    if (tensor.name != "a.weight") continue;
    EXPECT_EQ(tensor.dtype, DType::kU8);
    EXPECT_EQ(tensor.shape, (std::vector<uint64_t>{6, 288}));
  }
}

class GgufTable : public GgufArchive {
 protected:
  void SetUp() override {
    const uint64_t large = 64;
    GgufFile file = Model(1);
    file.Value("like.a.tensor", GgufFile::Type::kArray,
               GgufFile::ArrayOf(GgufFile::Type::kF32, 197).Raw(std::string(788, 'v')).bytes());
    file.Add({"values", kF32, {200}, std::string(800, 'w')});
    file.Add(BlockTensor(DType::kQ4_0, "nibbles", 1, large));
    WriteFile(dir_ / "in/m.gguf", file.Bytes());
    // The same head over other content.
    for (GgufTestTensor& tensor : file.tensors) tensor.content[0] ^= 1;
    WriteFile(dir_ / "in/n.gguf", file.Bytes());
    WriteFile(dir_ / "in/text", "no GGUF");
    PackAndOpen({{"v", dir_ / "in"}}, dir_ / "m.qstore");
    good_ = ReadFile(dir_ / "m.qstore");
  }
  Archive Edited(const std::function<void(Index*)>& edit) const {
    WriteFile(dir_ / "bad.qstore", WithIndex(good_, edit));
    auto archive = Archive::Open(dir_ / "bad.qstore");
    EXPECT_TRUE(archive.ok()) << archive.status().ToString();
    return std::move(archive).value();
  }
  void ExpectRefused(const std::function<void(Index*)>& edit, const std::string& rule) {
    const Archive archive = Edited(edit);
    const auto expect = [&](const Status& status) {
      EXPECT_EQ(status.code(), ErrorCode::kCorrupt) << rule << ": " << status.ToString();
      EXPECT_NE(status.message().find(rule), std::string::npos) << status.ToString();
    };
    expect(Verify(archive, {}).status());
    expect(archive.Load(std::vector<size_t>{0}, 1).status());
    UnpackOptions options;
    options.sync = false;
    expect(Unpack(archive, "v", dir_ / "out", options).status());
    EXPECT_FALSE(fs::exists(dir_ / "out"));
    const size_t norm = *archive.FindTensor(0, "norm");
    std::vector<std::byte> out(archive.tensor(norm).byte_size);
    expect(archive.ReadTensor(norm, out, 1));
  }

  std::string good_;
};

TEST_F(GgufTable, OfTheIndexIsThatOfTheHead) {
  EXPECT_TRUE(Verify(Edited([](Index*) {}), {}).ok());
  ExpectRefused(
      [](Index* index) {
        std::swap(index->tensors[RowOf(*index, "v", "a.weight")].part,
                  index->tensors[RowOf(*index, "v", "b.weight")].part);
      },
      "tensor 'a.weight' has another place");
  ExpectRefused(
      [](Index* index) { index->tensors[RowOf(*index, "v", "nibbles")].dtype = DType::kIq4Nl; },
      "tensor 'nibbles' has another dtype");
  ExpectRefused(
      [](Index* index) {
        const uint32_t dims = index->tensors[RowOf(*index, "v", "c.weight")].shape_begin;
        index->dims[dims] = 4;
        index->dims[dims + 1] = 64;
      },
      "tensor 'c.weight' has another shape");
  ExpectRefused(
      [](Index* index) { index->tensors[RowOf(*index, "v", "nibbles")].name = "nibblet"; },
      "tensor 'nibbles' is in the header of the file, but not in the index");
}

TEST_F(GgufTable, ValuesOfTheHeadAreNoTensors) {
  ExpectRefused(
      [](Index* index) {
        const format::FileEntry& file = index->files[0];
        const format::Range head = index->HeadOf(file);
        format::TensorEntry& tensor = index->tensors[RowOf(*index, "v", "values")];
        for (uint32_t p = head.begin; p < head.end; ++p) {
          if (index->objects[index->parts[p]].byte_size == 800) tensor.part = p;
        }
        ASSERT_LT(tensor.part, head.end);
      },
      "the head reaches beyond the file");
}

TEST_F(GgufTable, IsReadForEachFileOfOneHead) {
  const Archive archive = Edited([](Index* index) {
    const uint32_t count = index->files[0].tensors.size();
    const size_t a = RowOf(*index, "v", "a.weight") + count;
    ASSERT_EQ(index->tensors[a].name, "a.weight");
    std::swap(index->tensors[a].part, index->tensors[a + 1].part);
  });
  const size_t first = *archive.FindTensor(0, "a.weight");
  std::vector<std::byte> out(archive.tensor(first).byte_size);
  EXPECT_TRUE(archive.ReadTensor(first, out, 1).ok());
  const size_t second = first + 6;
  ASSERT_EQ(archive.tensor(second).name, "a.weight");
  const Status status = archive.ReadTensor(second, out, 1);
  EXPECT_NE(status.message().find("n.gguf"), std::string::npos) << status.ToString();
  EXPECT_NE(status.message().find("another place"), std::string::npos) << status.ToString();
}

TEST_F(GgufTable, OtherFilesAreNoGguf) {
  const Archive text = Edited([](Index* index) { index->files[2].container = 2; });
  const Status status = Verify(text, {}).status();
  EXPECT_NE(status.message().find("does not begin with GGUF"), std::string::npos)
      << status.ToString();
  ExpectRefused([](Index* index) { index->files[0].container = 1; }, "m.gguf");
}

}  // namespace
}  // namespace qstore
