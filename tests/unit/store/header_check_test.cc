// SPDX-License-Identifier: Apache-2.0
// The tensor table of an index is the header of the file, or nothing of the file is handed out.
#include "store/header_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <thread>

#include "qstore/read_queue.h"
#include "qstore/verify.h"
#include "store/archive_file.h"
#include "unit/store/edited_index.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using format::Index;

class HeaderTable : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePair(dir_ / "high", dir_ / "low", 40, 64);
    WriteSafetensors(dir_ / "high/second.safetensors",
                     {{"none", DType::kF32, {0, 5}, {}}, {"void", DType::kF32, {0, 5}, {}}});
    // The same header over other content.
    for (const uint32_t seed : {1, 2}) {
      WriteSafetensors(dir_ / ("high/shard" + std::to_string(seed) + ".safetensors"),
                       {{std::string(20, 'x'), DType::kU8, {50}, RandomBytes(50, seed)},
                        {std::string(20, 'y'), DType::kU8, {50}, RandomBytes(50, seed + 2)}});
    }
    PackAndOpen(Variants(), dir_ / "m.qstore");
    good_ = ReadFile(dir_ / "m.qstore");
  }
  std::vector<VariantSource> Variants() const {
    return {{"high", dir_ / "high"}, {"low", dir_ / "low"}};
  }

  Archive Edited(const std::function<void(Index*)>& edit) const {
    WriteFile(dir_ / "bad.qstore", WithIndex(good_, edit));
    auto archive = Archive::Open(dir_ / "bad.qstore");
    EXPECT_TRUE(archive.ok()) << archive.status().ToString();
    return std::move(archive).value();
  }
  static Status ReadWhole(const Archive& archive, size_t tensor) {
    std::vector<std::byte> out(archive.tensor(tensor).byte_size);
    return archive.ReadTensor(tensor, out, 2);
  }
  static void ExpectNamed(const Status& status, const std::vector<std::string>& parts) {
    EXPECT_EQ(status.code(), ErrorCode::kCorrupt) << status.ToString();
    for (const std::string& part : parts) {
      EXPECT_NE(status.message().find(part), std::string::npos)
          << part << ": " << status.ToString();
    }
  }
  // `tensor` of variant `high` is among what is wrong: nothing hands it out, and none of its file.
  void ExpectRefused(const Archive& archive, size_t tensor, const std::string& rule) const {
    const std::vector<std::string> named = {"bad.qstore", "model.safetensors", rule};
    ExpectNamed(ReadWhole(archive, tensor), named);
    std::vector<std::byte> out(archive.tensor(tensor).byte_size);
    const auto row = std::span(out).first(*archive.RowsByteSize(tensor, 1, 2));
    ExpectNamed(archive.ReadRows(tensor, 1, 2, row), named);
    ReadQueue queue(archive, 2);
    const auto number = queue.Begin({tensor, out});
    ASSERT_TRUE(number.ok());
    ExpectNamed(queue.Finish(*number), named);
    const size_t high = *archive.FindVariant("high");
    const size_t low = *archive.FindVariant("low");
    for (const unsigned threads : {1U, 3U}) {
      ExpectNamed(archive.Load(std::vector<size_t>{high}, threads).status(), named);
      ExpectNamed(archive.Load(std::vector<size_t>{low, high}, threads).status(), named);
    }
    EXPECT_TRUE(archive.Load(std::vector<size_t>{low}).ok()) << "the other file is as it was";
    UnpackOptions options;
    options.sync = false;
    ExpectNamed(Unpack(archive, "high", dir_ / "out", options).status(), named);
    options.tensors = "b.*";
    ExpectNamed(Unpack(archive, "high", dir_ / "out", options).status(), named);
    EXPECT_FALSE(fs::exists(dir_ / "out"));
    ExpectNamed(Verify(archive, {}).status(), named);
    ExpectNamed(Verify(archive, Variants()).status(), named);
  }

  TempDir dir_;
  std::string good_;
};

TEST_F(HeaderTable, TwoPartsExchanged) {
  size_t a = 0;
  const Archive archive = Edited([&](Index* index) {
    a = RowOf(*index, "high", "a.weight");
    std::swap(index->tensors[a].part, index->tensors[RowOf(*index, "high", "b.weight")].part);
  });
  ExpectRefused(archive, a, "tensor 'a.weight' has another place in the index than in the header");
}

TEST_F(HeaderTable, OtherTypeShapeOrName) {
  size_t a = 0;
  const Archive type = Edited([&](Index* index) {
    a = RowOf(*index, "high", "a.weight");
    index->tensors[a].dtype = DType::kF16;
  });
  ExpectRefused(type, a, "tensor 'a.weight' has another dtype");
  const Archive shape = Edited([&](Index* index) {
    std::swap(index->dims[index->tensors[a].shape_begin],
              index->dims[index->tensors[a].shape_begin + 1]);
  });
  ExpectRefused(shape, a, "tensor 'a.weight' has another shape");
  const Archive name = Edited([&](Index* index) { index->tensors[a].name = "a.weighs"; });
  ExpectRefused(name, a, "tensor 'a.weight' is in the header of the file, but not in the index");
}

TEST_F(HeaderTable, TensorsWithoutElementsToo) {
  size_t none = 0;
  const Archive archive = Edited([&](Index* index) {
    none = RowOf(*index, "high", "none");
    index->dims[index->tensors[none].shape_begin + 1] = 6;
  });
  ExpectNamed(ReadWhole(archive, none), {"second.safetensors", "tensor 'none' has another shape"});
  ExpectNamed(archive.Load(std::vector<size_t>{0, 1}).status(), {"tensor 'none'"});
}

TEST_F(HeaderTable, OfOneHeaderInTwoFiles) {
  const Archive archive = Edited([&](Index* index) {
    // Names are those of two files; the second one's rows come behind the first one's.
    size_t x = RowOf(*index, "high", std::string(20, 'x')) + 2;
    ASSERT_EQ(index->tensors[x].name, std::string(20, 'x'));
    std::swap(index->tensors[x].part, index->tensors[x + 1].part);
  });
  const size_t first = *archive.FindTensor(*archive.FindVariant("high"), std::string(20, 'x'));
  EXPECT_TRUE(ReadWhole(archive, first).ok());
  ExpectNamed(ReadWhole(archive, first + 2), {"shard2.safetensors", "another place"});
  // And when the wrong one comes first.
  const auto again = Archive::Open(dir_ / "bad.qstore");
  ExpectNamed(ReadWhole(*again, first + 2), {"shard2.safetensors", "another place"});
  EXPECT_TRUE(ReadWhole(*again, first).ok());
}

TEST_F(HeaderTable, AFileThatIsNoSafetensors) {
  const Archive archive = Edited([](Index* index) {
    for (format::FileEntry& file : index->files) {
      if (file.path == "config.json") file.container = 1;
    }
  });
  ExpectNamed(Verify(archive, {}).status(), {"config.json", "length and text of a header"});
}

TEST_F(HeaderTable, IsReadOnceAndOnlyForTensors) {
  const Archive archive = Edited([](Index*) {});
  const uint64_t opened = archive.bytes_read();
  const size_t a = *archive.FindTensor(*archive.FindVariant("high"), "norm.weight");
  ASSERT_TRUE(ReadWhole(archive, a).ok());
  const uint64_t first = archive.bytes_read() - opened;
  ASSERT_TRUE(ReadWhole(archive, a).ok());
  const uint64_t second = archive.bytes_read() - opened - first;
  const Index& index = archive.impl().index();
  const format::FileEntry& file = index.files[archive.tensor(a).file];
  const format::ObjectEntry& header = index.objects[index.parts[file.parts.begin]];
  ASSERT_EQ(header.chunk_count, 1u);
  EXPECT_EQ(first - second, index.chunks[header.first_chunk].stored_size);

  const Archive other = Edited([](Index*) {});
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) threads.emplace_back([&] { EXPECT_TRUE(ReadWhole(other, a).ok()); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(other.bytes_read() - opened, first + 7 * second);
}

// A source that fails once in a while.
class Failing final : public ByteSource {
 public:
  explicit Failing(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (fails) return IoError("this read fails");
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  std::atomic<bool> fails{false};

 private:
  const std::string bytes_;
};

TEST_F(HeaderTable, AFailingReadIsNotRemembered) {
  const auto source = std::make_shared<Failing>(good_);
  const auto archive = Archive::Open(source, "memory");
  ASSERT_TRUE(archive.ok());
  source->fails = true;
  EXPECT_EQ(ReadWhole(*archive, 0).code(), ErrorCode::kIo);
  source->fails = false;
  EXPECT_TRUE(ReadWhole(*archive, 0).ok());
}

}  // namespace
}  // namespace qstore
