// SPDX-License-Identifier: Apache-2.0
#include "io/safetensors.h"

#include <gtest/gtest.h>

#include <random>

#include "base/bytes.h"
#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;

std::string WithLength(uint64_t length, std::string_view rest) {
  std::string file(8, '\0');
  base::StoreLe<uint64_t>(file.data(), length);
  return file + std::string(rest);
}

std::string FileOf(std::string_view json, size_t data_bytes) {
  return WithLength(json.size(), std::string(json) + std::string(data_bytes, '\1'));
}

Result<SafetensorsHeader> Read(const std::string& file) {
  return ReadSafetensorsHeader(MemorySource(file));
}

struct Case {
  std::string json;
  size_t data_bytes;
};

void ExpectAccepted(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    auto header = Read(FileOf(c.json, c.data_bytes));
    EXPECT_TRUE(header.ok()) << c.json << "\n" << header.status().ToString();
  }
}

void ExpectRefused(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    auto header = Read(FileOf(c.json, c.data_bytes));
    ASSERT_FALSE(header.ok()) << c.json;
    EXPECT_EQ(header.status().code(), ErrorCode::kCorrupt);
    EXPECT_FALSE(header.status().message().empty());
  }
}

// A header of one tensor 'a' whose fields are those of two bytes, with one replaced.
std::string Entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return R"({"a":{"dtype":)" + std::string(dtype) + R"(,"shape":)" + std::string(shape) +
         R"(,"data_offsets":)" + std::string(offsets) + "}}";
}
std::string WithExtra(std::string_view value) {
  return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2],"x":)" + std::string(value) + "}}";
}
const std::string kTwoBytes = Entry(R"("U8")", "[2]", "[0,2]");

TEST(SafetensorsReader, GivesNamesShapesAndPlaces) {
  const std::string json = R"({"b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},)"
                           R"("__metadata__":{"format":"pt"},)"
                           R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})";
  auto header = Read(FileOf(json, 16));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  EXPECT_EQ(header->data_begin, 8 + json.size());
  ASSERT_EQ(header->tensors.size(), 2u);
  EXPECT_EQ(header->tensors[0].name, "a");
  EXPECT_EQ(header->tensors[0].dtype, DType::kF32);
  EXPECT_TRUE(header->tensors[0].shape.empty());
  EXPECT_EQ(header->tensors[0].begin, header->data_begin);
  EXPECT_EQ(header->tensors[1].name, "b");
  EXPECT_EQ(header->tensors[1].shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(header->tensors[1].begin, header->data_begin + 4);
  EXPECT_EQ(header->tensors[1].end, header->data_begin + 16);
  EXPECT_EQ(header->metadata, (SafetensorsMetadata{{"format", "pt"}}));
}

TEST(SafetensorsReader, LengthField) {
  for (const std::string& file :
       {std::string(), std::string("1234567"), WithLength(0, ""), WithLength(2, "{"),
        WithLength(100'000'001, "{}"), WithLength(~uint64_t{0}, "{}"),
        WithLength(uint64_t{1} << 63, "{}")}) {
    auto header = Read(file);
    ASSERT_FALSE(header.ok());
    EXPECT_EQ(header.status().code(), ErrorCode::kCorrupt);
  }
  EXPECT_TRUE(Read(WithLength(2, "{}")).ok());
}

TEST(SafetensorsReader, LongestHeaderIsAcceptedOneMoreByteIsNot) {
  std::string file = WithLength(kMaxSafetensorsHeader, "{}");
  file.resize(8 + kMaxSafetensorsHeader, ' ');
  EXPECT_TRUE(Read(file).ok());
  base::StoreLe<uint64_t>(file.data(), kMaxSafetensorsHeader + 1);
  file.push_back(' ');
  EXPECT_FALSE(Read(file).ok());
}

TEST(SafetensorsReader, WhiteSpaceAndNothingElseAroundTheObject) {
  ExpectAccepted({{"{}", 0}, {"\t\n{}\r ", 0}, {" {} ", 0}});
  ExpectRefused({{std::string("{}\0", 3), 0},
                 {std::string("\0{}", 3), 0},
                 {"\v{}", 0},
                 {"{}x", 0},
                 {"{}{}", 0},
                 {"// c\n{}", 0},
                 {"\xEF\xBB\xBF{}", 0},
                 {"\xC2\xA0{}", 0}});
}

TEST(SafetensorsReader, TextIsUtf8AndJson) {
  ExpectAccepted({{R"({"\u00e9\ud83d\ude00":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0},
                  {"{\"\xC3\xA9\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0},
                  {WithExtra("\"\x7f\""), 2},
                  {WithExtra("-0"), 2},
                  {WithExtra("1e-999"), 2}});
  ExpectRefused({{"\xff", 0},
                 {"{", 0},
                 {"[]", 0},
                 {"1", 0},
                 {"null", 0},
                 {"", 0},
                 {"{\"\xff\":1}", 0},
                 {"{\"\xED\xA0\x80\":1}", 0},
                 {WithExtra(R"("\ud800")"), 2},
                 {WithExtra(R"("\udc00")"), 2},
                 {WithExtra(R"("\x41")"), 2},
                 {WithExtra("\"\x01\""), 2},
                 {WithExtra("01"), 2},
                 {WithExtra("1."), 2},
                 {WithExtra("1e999"), 2},
                 {WithExtra("NaN"), 2},
                 {kTwoBytes.substr(0, kTwoBytes.size() - 1) + ",}", 2}});
}

TEST(SafetensorsReader, NestingIsLimited) {
  const auto nested = [](size_t levels) {
    return Case{WithExtra(std::string(levels, '[') + std::string(levels, ']')), 2};
  };
  ExpectAccepted({nested(125)});  // Two levels are around it.
  ExpectRefused({nested(126), nested(100'000)});
}

TEST(SafetensorsReader, Metadata) {
  ExpectAccepted({{R"({"__metadata__":null})", 0},
                  {R"({"__metadata__":{}})", 0},
                  {R"({"__metadata__":{"a":"b","a":"c"}})", 0},
                  {R"({"\u005f_metadata__":{"a":"b"}})", 0}});
  ExpectRefused({{R"({"__metadata__":1})", 0},
                 {R"({"__metadata__":[]})", 0},
                 {R"({"__metadata__":"x"})", 0},
                 {R"({"__metadata__":{"a":1}})", 0},
                 {R"({"__metadata__":{"a":null}})", 0},
                 {R"({"__metadata__":{"a":{}}})", 0},
                 {R"({"__metadata__":{},"__metadata__":{}})", 0},
                 {R"({"__metadata__":null,"__metadata__":null})", 0}});
}

TEST(SafetensorsReader, Fields) {
  ExpectAccepted({{kTwoBytes, 2},
                  {WithExtra(R"({"y":[1,{"z":null}],"shape":"s"})"), 2},
                  {R"({"a":{"data_offsets":[0,2],"x":1,"x":2,"shape":[2],"dtype":"U8"}})", 2},
                  {R"({"a":["U8",[2],[0,2]]})", 2},
                  {Entry(R"({"U8":null})", "[2]", "[0,2]"), 2}});
  ExpectRefused({{R"({"a":null})", 0},
                 {R"({"a":1})", 0},
                 {R"({"a":{}})", 0},
                 {R"({"a":[]})", 0},
                 {R"({"a":["U8",[2]]})", 2},
                 {R"({"a":["U8",[2],[0,2],1]})", 2},
                 {R"({"a":{"shape":[2],"data_offsets":[0,2]}})", 2},
                 {R"({"a":{"dtype":"U8","data_offsets":[0,2]}})", 2},
                 {R"({"a":{"dtype":"U8","shape":[2]}})", 2},
                 {R"({"a":{"dtype":"U8","dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 2},
                 {R"({"a":{"dtype":"U8","shape":[2],"shape":[2],"data_offsets":[0,2]}})", 2},
                 {Entry(R"({"U8":{}})", "[2]", "[0,2]"), 2},
                 {Entry(R"({"U8":1})", "[2]", "[0,2]"), 2},
                 {Entry(R"({"U8":null,"I8":null})", "[2]", "[0,2]"), 2},
                 {Entry("{}", "[2]", "[0,2]"), 2},
                 {Entry("4", "[2]", "[0,2]"), 2},
                 {Entry("null", "[2]", "[0,2]"), 2}});
}

TEST(SafetensorsReader, EveryDtypeOfTheReferenceAndNoOther) {
  const std::pair<const char*, size_t> kTypes[] = {
      {"BOOL", 4},        {"F4", 2},         {"F6_E2M3", 3}, {"F6_E3M2", 3}, {"U8", 4},
      {"I8", 4},          {"I16", 8},        {"U16", 8},     {"F16", 8},     {"BF16", 8},
      {"I32", 16},        {"U32", 16},       {"F32", 16},    {"C64", 32},    {"F64", 32},
      {"I64", 32},        {"U64", 32},       {"F8_E5M2", 4}, {"F8_E4M3", 4}, {"F8_E8M0", 4},
      {"F8_E4M3FNUZ", 4}, {"F8_E5M2FNUZ", 4}};
  EXPECT_EQ(std::size(kTypes), kSafetensorsDTypeCount);
  for (const auto& [name, bytes] : kTypes) {
    const std::string dtype = "\"" + std::string(name) + "\"";
    const auto offsets = [](size_t end) { return "[0," + std::to_string(end) + "]"; };
    ExpectAccepted({{Entry(dtype, "[2,2]", offsets(bytes)), bytes}});
    ExpectRefused({{Entry(dtype, "[2,2]", offsets(bytes + 1)), bytes + 1}});
  }
  for (unsigned t = kSafetensorsDTypeCount; t < kDTypeCount; ++t) {
    const auto type = static_cast<DType>(t);
    const std::string dtype = "\"" + std::string(DTypeName(type)) + "\"";
    const std::string shape = "[1," + std::to_string(DTypeBlock(type)) + "]";
    const size_t bytes = DTypeBits(type) / 8;
    ExpectRefused({{Entry(dtype, shape, "[0," + std::to_string(bytes) + "]"), bytes}});
  }
  ExpectRefused({{Entry(R"("u8")", "[2]", "[0,2]"), 2},
                 {Entry(R"("U8 ")", "[2]", "[0,2]"), 2},
                 {Entry(R"("F8")", "[2]", "[0,2]"), 2},
                 {Entry(R"("")", "[2]", "[0,2]"), 2}});
}

TEST(SafetensorsReader, SubByteContentIsWholeBytes) {
  ExpectAccepted(
      {{Entry(R"("F4")", "[1,2]", "[0,1]"), 1}, {Entry(R"("F6_E2M3")", "[4]", "[0,3]"), 3}});
  ExpectRefused({{Entry(R"("F4")", "[1,3]", "[0,2]"), 2},
                 {Entry(R"("F4")", "[1,3]", "[0,1]"), 1},
                 {Entry(R"("F6_E3M2")", "[2]", "[0,2]"), 2}});
}

TEST(SafetensorsReader, ShapeAndOffsetsAreUnsignedIntegers) {
  for (const char* number :
       {"-1", "2.0", "2e0", "-0", "null", "\"2\"", "true", "{}", "18446744073709551616"}) {
    const std::string n = number;
    ExpectRefused({{Entry(R"("U8")", "[" + n + "]", "[0,2]"), 2},
                   {Entry(R"("U8")", "[2]", "[0," + n + "]"), 2},
                   {Entry(R"("U8")", "[2]", "[" + n + ",2]"), 2},
                   {Entry(R"("U8")", n, "[0,2]"), 2},
                   {Entry(R"("U8")", "[2]", n), 2}});
  }
  ExpectRefused({{Entry(R"("U8")", "[2]", "[0,2,2]"), 2},
                 {Entry(R"("U8")", "[2]", "[0]"), 2},
                 {Entry(R"("U8")", "[0]", "[]"), 0}});
}

TEST(SafetensorsReader, ShapesThatOverflow) {
  ExpectAccepted({{Entry(R"("I32")", "[2,0]", "[0,0]"), 0},
                  {Entry(R"("I32")", "[0,18446744073709551615,9]", "[0,0]"), 0}});
  ExpectRefused({{Entry(R"("I32")", "[2,18446744073709551614]", "[0,16]"), 16},
                 {Entry(R"("I32")", "[2,9223372036854775807]", "[0,16]"), 16},
                 {Entry(R"("U64")", "[288230376151711744]", "[0,0]"), 0},
                 {Entry(R"("U8")", "[18446744073709551615,2,0]", "[0,0]"), 0}});
}

TEST(SafetensorsReader, TensorsTileTheData) {
  const auto two = [](const char* first, const char* second) {
    return R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(first) +
           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + std::string(second) + "}}";
  };
  ExpectAccepted({{two("[0,2]", "[2,4]"), 4}, {two("[2,4]", "[0,2]"), 4}});
  ExpectRefused({{two("[0,2]", "[2,4]"), 3},
                 {two("[0,2]", "[2,4]"), 5},
                 {two("[0,2]", "[3,5]"), 5},
                 {two("[0,2]", "[1,3]"), 3},
                 {two("[0,2]", "[0,2]"), 2},
                 {two("[1,3]", "[3,5]"), 5},
                 {Entry(R"("U8")", "[2]", "[2,0]"), 2},
                 {"{}", 1}});
}

TEST(SafetensorsReader, EmptyTensorsMayLieAnywhereBetweenOthers) {
  const std::string b = R"("b":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  const auto empty = [&](const char* offsets) {
    return R"({"a":{"dtype":"F32","shape":[0,5],"data_offsets":)" + std::string(offsets) + "}," +
           b + R"(,"c":{"dtype":"F32","shape":[5,0],"data_offsets":)" + std::string(offsets) + "}}";
  };
  ExpectAccepted({{empty("[0,0]"), 2}, {empty("[2,2]"), 2}});
  ExpectRefused({{empty("[1,1]"), 2}, {empty("[3,3]"), 2}});
}

TEST(SafetensorsReader, OfEqualNamesTheLastCounts) {
  const std::string one = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  const std::string two = R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]})";
  auto header = Read(FileOf("{" + one + "," + two + "}", 2));
  ASSERT_TRUE(header.ok());
  ASSERT_EQ(header->tensors.size(), 1u);
  EXPECT_EQ(header->tensors[0].shape[0], 2u);
  ExpectRefused({{"{" + two + "," + one + "}", 2}, {"{\"a\":null," + two + "}", 2}});
}

TEST(SafetensorsReader, ErrorsNameTensorAndRule) {
  auto header = Read(FileOf(Entry(R"("U9")", "[2]", "[0,2]"), 2));
  EXPECT_EQ(header.status().ToString(),
            "corrupt: safetensors header: tensor 'a': dtype 'U9' is unknown");
  header = Read(FileOf("{\"a\n\":1}", 2));
  EXPECT_NE(header.status().message().find("byte"), std::string::npos);
}

// Mutations of good headers must never be taken for something that breaks the reader's promises.
TEST(SafetensorsReader, MutatedHeadersAreRefusedOrTile) {
  const std::string json =
      R"({"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":)"
      R"([0,24]},"b":{"dtype":"F4","shape":[4],"data_offsets":[24,26]},"c":{"dtype":"BF16",)"
      R"("shape":[0],"data_offsets":[26,26]}})";
  const std::string_view alphabet = "{}[]:,\"0123456789.-eE \\\nntfuU8\xC3\x80\xFF";
  std::mt19937 random(20240229);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string mutated = json;
    for (size_t edits = 1 + below(3); edits > 0; --edits) {
      const size_t at = below(mutated.size());
      const char c = alphabet[below(alphabet.size())];
      switch (below(4)) {
        case 0:
          mutated[at] = c;
          break;
        case 1:
          mutated.insert(at, 1, c);
          break;
        case 2:
          mutated.erase(at, 1 + below(4));
          break;
        default:
          mutated.insert(at, mutated.substr(below(mutated.size()), below(40)));
      }
    }
    const std::string file = FileOf(mutated, 26);
    auto header = Read(file);
    if (!header.ok()) {
      EXPECT_EQ(header.status().code(), ErrorCode::kCorrupt);
      continue;
    }
    ++accepted;
    uint64_t expected = header->data_begin;
    for (const SafetensorsTensor& tensor : header->tensors) {
      EXPECT_EQ(tensor.begin, expected);
      auto size = TensorByteSize(tensor.dtype, tensor.shape);
      ASSERT_TRUE(size.ok());
      EXPECT_EQ(tensor.end - tensor.begin, *size);
      expected = tensor.end;
    }
    EXPECT_EQ(expected, file.size());
  }
  EXPECT_GT(accepted, 300);  // Renamed tensors, white space, extra fields.
}

SafetensorsTensor Tensor(std::string name, DType dtype, std::vector<uint64_t> shape) {
  SafetensorsTensor tensor;
  tensor.name = std::move(name);
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  return tensor;
}

// The reference implementation's own tests expect these bytes.
TEST(SafetensorsWriter, SameBytesAsTheReference) {
  auto layout = LayOutSafetensors({Tensor("attn.0", DType::kF32, {1, 2, 3})}, {});
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->prefix,
            WithLength(64, R"({"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}})"));
  layout = LayOutSafetensors({Tensor("attn0", DType::kF32, {1, 1, 2, 3})}, {});
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->prefix, WithLength(72, R"({"attn0":{"dtype":"F32","shape":[1,1,2,3],)"
                                           R"("data_offsets":[0,24]}}       )"));
  layout = LayOutSafetensors({}, {{"framework", "pt"}});
  ASSERT_TRUE(layout.ok());
  EXPECT_EQ(layout->prefix, WithLength(40, R"({"__metadata__":{"framework":"pt"}}     )"));
}

TEST(SafetensorsWriter, LargerTypesFirstThenByName) {
  auto layout = LayOutSafetensors(
      {Tensor("z", DType::kU8, {3}), Tensor("b", DType::kBF16, {2}), Tensor("a", DType::kBF16, {1}),
       Tensor("s", DType::kF32, {}), Tensor("\"\n\x01", DType::kI8, {0})},
      {});
  ASSERT_TRUE(layout.ok());
  std::string order;
  for (const auto& tensor : layout->header.tensors) order += tensor.name;
  EXPECT_EQ(order, "sab\"\n\x01z");
  EXPECT_NE(layout->prefix.find(R"("\"\n\u0001":)"), std::string::npos);
  EXPECT_EQ(layout->prefix.size() % 8, 0u);

  std::string file = layout->prefix;
  file.resize(layout->file_size);
  auto read = Read(file);
  ASSERT_TRUE(read.ok()) << read.status().ToString();
  ASSERT_EQ(read->tensors.size(), layout->header.tensors.size());
  for (size_t i = 0; i < read->tensors.size(); ++i) {
    EXPECT_EQ(read->tensors[i].name, layout->header.tensors[i].name);
    EXPECT_EQ(read->tensors[i].begin, layout->header.tensors[i].begin);
  }
}

TEST(SafetensorsWriter, RefusesWhatTheReaderWould) {
  EXPECT_FALSE(
      LayOutSafetensors({Tensor("a", DType::kU8, {1}), Tensor("a", DType::kI8, {1})}, {}).ok());
  EXPECT_FALSE(LayOutSafetensors({Tensor("__metadata__", DType::kU8, {1})}, {}).ok());
  EXPECT_FALSE(LayOutSafetensors({Tensor("a", DType::kF4, {3})}, {}).ok());
  EXPECT_FALSE(LayOutSafetensors({Tensor("a", DType::kU8, {~uint64_t{0}, 2})}, {}).ok());
}

}  // namespace
}  // namespace qstore::io
