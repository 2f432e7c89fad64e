// SPDX-License-Identifier: Apache-2.0
// Which files are importance matrices of the older form, and what tensors they have.
// docs/format-ggml.md, "Importance files".
#include "container/imatrix/imatrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "container/imatrix/imatrix_entries.h"
#include "container/registry.h"
#include "unit/container/imatrix_file.h"
#include "unit/test_files.h"

namespace qstore::container {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

ImatrixFile Sample() {
  ImatrixFile file;
  file.Add("blk.0.ffn_up.weight", 17, {1, 2, 3}).Add("b", -1, {4}).Add("a", 0, {5, 6});
  return file.End(17, "text.txt");
}

Result<Layout> Parsed(const std::string& bytes) { return Imatrix().Parse(MemorySource(bytes)); }

// What no tensor has.
std::string HeadOf(const std::string& bytes, const Layout& layout) {
  std::set<uint32_t> tensors;
  for (const Tensor& tensor : layout.tensors) tensors.insert(tensor.part);
  std::string head;
  for (uint32_t p = 0; p < layout.parts.size(); ++p) {
    const Part& part = layout.parts[p];
    if (!tensors.contains(p)) head += bytes.substr(part.begin, part.size());
  }
  return head;
}

// Parts tile the file, and the head alone tells of the same tensors.
void ExpectConsistent(const std::string& bytes, const Layout& layout) {
  uint64_t at = 0;
  for (const Part& part : layout.parts) {
    EXPECT_EQ(part.begin, at);
    EXPECT_GT(part.end, part.begin);
    at = part.end;
  }
  EXPECT_EQ(at, bytes.size());
  std::map<std::string, const Tensor*> tensors;
  for (const Tensor& tensor : layout.tensors) tensors[tensor.name] = &tensor;
  EXPECT_EQ(tensors.size(), layout.tensors.size());
  const uint64_t front = layout.parts[0].end;
  const std::string head = HeadOf(bytes, layout);
  EXPECT_LE(head.size(), Imatrix().MaxHeadBytes());
  const Status read = Imatrix().ReadHead(Bytes(head), 255, [&](const Entry& entry) {
    const Tensor* tensor = tensors[std::string(entry.name)];
    tensors.erase(std::string(entry.name));
    if (tensor == nullptr) return Corrupt("a tensor that is not in the file");
    EXPECT_EQ(entry.dtype, tensor->dtype);
    EXPECT_TRUE(std::ranges::equal(entry.shape, tensor->shape));
    EXPECT_EQ(front + entry.begin, layout.parts[tensor->part].begin);
    EXPECT_EQ(front + entry.end, layout.parts[tensor->part].end);
    return Status();
  });
  EXPECT_TRUE(read.ok()) << read.ToString();
  EXPECT_TRUE(tensors.empty());
}

Layout Taken(const std::string& bytes) {
  auto layout = Parsed(bytes);
  EXPECT_TRUE(layout.ok()) << layout.status().ToString();
  if (!layout.ok()) return {};
  ExpectConsistent(bytes, *layout);
  return std::move(*layout);
}

// Such a file is bytes without known structure, and that is no fault of it.
void ExpectRefused(const std::string& bytes, const std::string& rule) {
  const auto layout = Parsed(bytes);
  ASSERT_FALSE(layout.ok()) << rule;
  EXPECT_EQ(layout.status().code(), ErrorCode::kCorrupt) << layout.status().ToString();
  EXPECT_NE(layout.status().message().find(rule), std::string::npos) << layout.status().ToString();
  const auto opened = OpenContainer("m.dat", MemorySource(bytes));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->container, nullptr);
  EXPECT_TRUE(opened->refusal.ok());
}
void ExpectRefused(const ImatrixFile& file, const std::string& rule) {
  ExpectRefused(file.Bytes(), rule);
}

TEST(Imatrix, CallsAndValuesAreTensors) {
  const std::string bytes = Sample().Bytes();
  const Layout layout = Taken(bytes);
  ASSERT_EQ(layout.tensors.size(), 6u);
  const Tensor& calls = layout.tensors[0];
  EXPECT_EQ(calls.name, "blk.0.ffn_up.weight.calls");
  EXPECT_EQ(calls.dtype, DType::kI32);
  EXPECT_EQ(calls.shape, std::vector<uint64_t>{1});
  const Tensor& values = layout.tensors[1];
  EXPECT_EQ(values.name, "blk.0.ffn_up.weight.values");
  EXPECT_EQ(values.dtype, DType::kF32);
  EXPECT_EQ(values.shape, std::vector<uint64_t>{3});
  EXPECT_EQ(bytes.substr(layout.parts[calls.part].begin, 4), std::string("\x11\0\0\0", 4));
  EXPECT_EQ(layout.parts.size(), 13u);
  const auto opened = OpenContainer("x/imatrix.dat", MemorySource(bytes));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->container, &Imatrix());
  EXPECT_EQ(OpenContainer("Tiny.imatrix", MemorySource(bytes))->container, &Imatrix());
  EXPECT_EQ(OpenContainer("imatrix.bin", MemorySource(bytes))->container, nullptr);
}

TEST(Imatrix, WhatFollowsTheEntriesMayBeAbsent) {
  ImatrixFile file = Sample();
  for (const std::string& tail :
       {std::string(), Fields().Put(5).bytes(), Fields().Put(-5).Put(0).bytes()}) {
    file.tail = tail;
    Taken(file.Bytes());
  }
}

TEST(Imatrix, CutAnywhere) {
  const std::string bytes = Sample().Bytes();
  // Where the file may end: behind the entries, and behind the number of chunks.
  const size_t entries = bytes.size() - std::string("text.txt").size() - 8;
  for (size_t size = 0; size < bytes.size(); ++size) {
    if (size == entries || size == entries + 4) continue;
    ExpectRefused(bytes.substr(0, size), "");
  }
  ExpectRefused(bytes + "x", "does not end with");
}

TEST(Imatrix, AnyByteChanged) {
  const std::string bytes = Sample().Bytes();
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const unsigned change : {1U, 0x80U, 0xFFU}) {
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ static_cast<char>(change));
      const auto layout = Parsed(changed);
      if (layout.ok()) ExpectConsistent(changed, *layout);
    }
  }
}

TEST(Imatrix, EntriesThatCannotBe) {
  ExpectRefused("", "reaches beyond the file");
  ExpectRefused("some text that is no matrix", "has no entries, or too many");
  ExpectRefused(ImatrixFile(), "has no entries");
  ExpectRefused(ImatrixFile().Add("", 1, {1}), "a name is empty");
  ExpectRefused(ImatrixFile().Add(std::string(4097, 'n'), 1, {1}), "too long");
  ExpectRefused(ImatrixFile().Add(std::string("a\0b", 3), 1, {1}), "a name has a byte 0");
  ExpectRefused(ImatrixFile().Add("a", 1, {1}).Add("a", 2, {2}), "entry 'a': comes twice");
  ExpectRefused(ImatrixFile().Add("a", 1, {}), "entry 'a': has no values");
  ImatrixFile negative;
  negative.count = 0x80000000;
  ExpectRefused(negative, "too many");
  for (const uint32_t values : {uint32_t{0x80000000}, ~uint32_t{0}}) {
    const std::string entry = Fields().Put(1).Put(1).Raw("a").Put(1).Put(values).bytes();
    ExpectRefused(entry, "too many");
  }
  const std::string long_values = Fields().Put(1).Put(1).Raw("a").Put(1).Put(0x7FFFFFFF).bytes();
  ExpectRefused(long_values, "entry 'a': reaches beyond the file");
}

TEST(Imatrix, AsManyEntriesAndBytesAsThereMayBe) {
  const auto with = [](uint32_t entries, size_t name_bytes) {
    ImatrixFile file;
    for (uint32_t i = 0; i < entries; ++i) {
      std::string name = std::to_string(i);
      name.resize(std::max(name.size(), name_bytes), '_');
      file.Add(name, 1, {1});
    }
    return file;
  };
  EXPECT_EQ(Taken(with(65536, 0).Bytes()).tensors.size(), 131072u);
  ExpectRefused(with(65537, 0), "too many");
  // Each takes 8 bytes beside its name.
  EXPECT_TRUE(Parsed(with(1023, 4088).Bytes()).ok());
  ExpectRefused(with(1024, 4088), "more than 2^22 bytes");
  ImatrixFile text = with(1, 0);
  const size_t rest = kMaxImatrixHead - 4 - 9 - 8;
  EXPECT_TRUE(Parsed(text.End(1, std::string(rest, 't')).Bytes()).ok());
  ExpectRefused(text.End(1, std::string(rest + 1, 't')), "the text is too long");
}

TEST(Imatrix, HeadsThatCannotBe) {
  const std::string bytes = Sample().Bytes();
  const std::string head = HeadOf(bytes, *Parsed(bytes));
  const auto read = [](const std::string& text) {
    return Imatrix().ReadHead(Bytes(text), 255, [](const Entry&) { return Status(); });
  };
  EXPECT_TRUE(read(head).ok());
  EXPECT_EQ(read(bytes).code(), ErrorCode::kCorrupt);
  EXPECT_EQ(read(head + "x").code(), ErrorCode::kCorrupt);
  EXPECT_EQ(read(head.substr(0, 20)).code(), ErrorCode::kCorrupt);
  const auto refusing = [](const Entry&) { return IoError("no more"); };
  EXPECT_EQ(Imatrix().ReadHead(Bytes(head), 255, refusing).code(), ErrorCode::kIo);
}

}  // namespace
}  // namespace qstore::container
