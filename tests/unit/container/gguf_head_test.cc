// SPDX-License-Identifier: Apache-2.0
// Which files are none of GGUF. docs/format-ggml.md, "GGUF".
#include "container/gguf/gguf_head.h"

#include <gtest/gtest.h>

#include "unit/container/gguf_layout.h"

namespace qstore::container {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using Type = GgufType;

TEST(Gguf, CutAnywhere) {
  GgufFile file = Sample();
  file.Text("large", std::string(600, 'l'));
  const std::string bytes = file.Bytes();
  ASSERT_TRUE(Parsed(bytes).ok());
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto layout = Parsed(bytes.substr(0, size));
    EXPECT_FALSE(layout.ok()) << size;
    EXPECT_EQ(layout.status().code(), ErrorCode::kCorrupt) << size;
  }
}

TEST(Gguf, AnyByteChanged) {
  const std::string bytes = Sample().Bytes();
  for (size_t at = 0; at < Sample().Head().size(); ++at) {
    for (const unsigned change : {1U, 0x80U, 0xFFU}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(change));
      const auto layout = Parsed(changed);
      if (layout.ok()) ExpectConsistent(changed, *layout);
    }
  }
}

TEST(Gguf, CountsBeyondReason) {
  GgufFile file = Sample();
  for (const uint64_t count : {uint64_t{4}, uint64_t{1} << 32, uint64_t{1} << 60, ~uint64_t{0}}) {
    file.tensor_count = count;
    EXPECT_FALSE(Parsed(file.Bytes()).ok()) << count;
    file.tensor_count.reset();
    file.value_count = count;
    EXPECT_FALSE(Parsed(file.Bytes()).ok()) << count;
    file.value_count.reset();
    for (const Type type : {Type::kU8, Type::kF64, Type::kString}) {
      GgufFile array = Sample();
      array.Value("a", Type::kArray, GgufFile::ArrayOf(type, count + 1'000'000'000).bytes());
      ExpectRefused(array, "its array reaches beyond the file");
    }
  }
  for (const uint64_t size : {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 40}) {
    const std::string text = Fields().Put(size).bytes();
    ExpectRefused(Sample().Value("t", Type::kString, text), "the head reaches beyond the file");
    const std::string texts = GgufFile::ArrayOf(Type::kString, 1).Put(size).bytes();
    ExpectRefused(Sample().Value("t", Type::kArray, texts), "the head reaches beyond the file");
  }
}

TEST(Gguf, ShapesAndPlacesBeyondReason) {
  const auto with = [](GgufTestTensor tensor) { return Sample().Add(std::move(tensor)); };
  const std::string rule = "shape is of no whole blocks, or too large";
  ExpectRefused(with({"t", kF32, {uint64_t{1} << 62}, ""}), rule);
  ExpectRefused(with({"t", kF32, {uint64_t{1} << 32, uint64_t{1} << 32}, ""}), rule);
  ExpectRefused(with({"t", kQ8_0, {33}, std::string(34, 't')}), rule);
  ExpectRefused(with({"t", kQ8_0, {16, 2}, std::string(34, 't')}), rule);
  ExpectRefused(with({"t", kQ8_0, {}, std::string(34, 't')}), rule);
  ExpectRefused(with({"t", kF32, {1, 1, 1, 1, 1}, "tttt"}), "has more than 4 dimensions");
  ExpectRefused(with({"t", kF32, {uint64_t{1} << 40}, ""}), "reaches beyond the file");
  ExpectRefused(with({"t", kF32, {1}, "tttt", ~uint64_t{0} - 31}), "an offset is too large");
  ExpectRefused(with({"t", kF32, {1}, "tttt", uint64_t{1} << 40}), "reaches beyond the file");
  ExpectRefused(with({"t", kF32, {1}, "tttt", 33}), "is not aligned");
  ExpectRefused(with({"t", kF32, {1}, "tttt", 32}), "overlaps another one");
  ExpectRefused(with({"t", kF32, {1}, "tttt", 64}), "overlaps another one");
  EXPECT_FALSE(Parsed(with({"t", kF32, {0, ~uint64_t{0}}, "", 1 << 20}).Bytes()).ok());
  GgufFile late;
  ExpectRefused(late.Add({"t", kF32, {1}, std::string(36, 't'), 32}), "is the first, but not at");
}

TEST(Gguf, NamesAreOnce) {
  ExpectRefused(Sample().U32("llama.block_count", 1), "comes twice");
  ExpectRefused(Sample().Add({"norm", kF32, {1}, "1234"}), "comes twice");
  ExpectRefused(Sample().U32("", 1), "a key is empty");
  ExpectRefused(Sample().U32(std::string(65536, 'k'), 1), "a key is too long");
  EXPECT_EQ(Taken(Sample().U32(std::string(65535, 'k'), 1)).tensors.size(), 3u);
  ExpectRefused(Sample().Add({std::string(65536, 'n'), kF32, {1}, "1234"}), "name is too long");
  EXPECT_EQ(Taken(Sample().Add({std::string(65535, 'n'), kF32, {1}, "1234"})).tensors.size(), 4u);
  EXPECT_EQ(Taken(Sample().Add({"", kF32, {1}, "1234"})).tensors.size(), 4u);
  GgufFile keys;
  for (char c = 'a'; c < 'r'; ++c) keys.U32(std::string(65000, c), 1);
  ExpectRefused(keys, "keys have more than 2^20 bytes");
}

// A file of zeros behind some bytes.
class Sparse final : public ByteSource {
 public:
  Sparse(std::string front, uint64_t size) : front_(std::move(front)), size_(size) {}
  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    EXPECT_LE(offset + out.size(), size_);
    for (size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::byte>(offset + i < front_.size() ? front_[offset + i] : '\0');
    }
    return {};
  }

 private:
  const std::string front_;
  const uint64_t size_;
};

TEST(Gguf, HeadsThatReadersRefuseAreNotPacked) {
  GgufFile file;
  const uint64_t text = uint64_t{1} << 27;
  file.Value("t", Type::kString, Fields().Put(text).bytes());
  const auto long_head = Gguf().Parse(Sparse(file.Bytes(), uint64_t{1} << 40));
  EXPECT_NE(long_head.status().message().find("more than 2^27"), std::string::npos);
  const auto no_tensors = Gguf().Parse(Sparse(GgufFile().Bytes(), kMaxGgufHead + 1));
  EXPECT_NE(no_tensors.status().message().find("no tensors"), std::string::npos);
  EXPECT_TRUE(Gguf().Parse(Sparse(GgufFile().Bytes(), kMaxGgufHead)).ok());
  // Strings without end are not counted one by one.
  GgufFile many;
  many.Value("t", Type::kArray, GgufFile::ArrayOf(Type::kString, uint64_t{1} << 36).bytes());
  EXPECT_FALSE(Gguf().Parse(Sparse(many.Bytes(), uint64_t{1} << 40)).ok());
}

TEST(Gguf, HeadsEndWhereTensorsBegin) {
  const std::string bytes = Sample().Bytes();
  const size_t head = (Sample().Head().size() + 31) / 32 * 32;
  const auto take = [](const Entry&) { return Status(); };
  for (const size_t size : {head - 32, head - 1, head + 1, head + 32, bytes.size()}) {
    const Status read = Gguf().ReadHead(Bytes(bytes).first(size), 255, take);
    EXPECT_EQ(read.code(), ErrorCode::kCorrupt) << size;
  }
  EXPECT_TRUE(Gguf().ReadHead(Bytes(bytes).first(head), 255, take).ok());
  const Status deep = Gguf().ReadHead(Bytes(bytes).first(head), 1, take);
  EXPECT_NE(deep.message().find("too many dimensions"), std::string::npos);
  const Status stopped =
      Gguf().ReadHead(Bytes(bytes).first(head), 255, [](const Entry&) { return IoError("stop"); });
  EXPECT_EQ(stopped.code(), ErrorCode::kIo);
}

}  // namespace
}  // namespace qstore::container
