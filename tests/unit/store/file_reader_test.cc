// SPDX-License-Identifier: Apache-2.0
#include "qstore/file_reader.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Buffer = std::vector<std::byte>;

// Weights of several chunks, of which one variant follows from the other, with scales that chunks
// take whole, and files of other kinds.
class Reader : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePair(dir_ / "high", dir_ / "low", 1100, 700);
    for (const char* name : {"high", "low"}) {
      WriteFile(dir_ / name / "long.txt", std::string(3 << 20, 'v'));
    }
    archive_.emplace(PackAndOpen({{"high", dir_ / "high"}, {"low", dir_ / "low"}}, Path()));
  }

  fs::path Path() const { return dir_ / "m.qstore"; }
  std::string Original(size_t file) const {
    for (size_t v = 0; v < archive_->variant_count(); ++v) {
      const VariantInfo variant = archive_->variant(v);
      if (file < variant.first_file || file >= variant.first_file + variant.file_count) continue;
      return ReadFile(dir_ / variant.name / archive_->file(file).path);
    }
    return {};
  }
  size_t file_count() const {
    const VariantInfo last = archive_->variant(archive_->variant_count() - 1);
    return last.first_file + last.file_count;
  }
  size_t Weights(std::string_view variant) const {
    const size_t tensor = *archive_->FindTensor(*archive_->FindVariant(variant), "a.weight");
    return archive_->tensor(tensor).file;
  }

  // Stretch by stretch.
  static std::string ReadAll(const Archive& archive, const FileReader& reader, size_t file) {
    std::string content;
    for (const uint64_t size = archive.file(file).size; content.size() < size;) {
      const auto stretch = reader.StretchAt(file, content.size());
      EXPECT_TRUE(stretch.ok()) << stretch.status().ToString();
      if (!stretch.ok() || stretch->begin != content.size() || stretch->end > size) {
        ADD_FAILURE() << "stretches do not lie end to end";
        break;
      }
      EXPECT_LE(stretch->end - stretch->begin, reader.most_stretch_bytes());
      const auto last = reader.StretchAt(file, stretch->end - 1);
      EXPECT_TRUE(last.ok() && last->begin == stretch->begin && last->end == stretch->end);
      Buffer out(stretch->end - stretch->begin);
      const Status status = reader.Read(file, stretch->begin, out);
      EXPECT_TRUE(status.ok()) << status.ToString();
      content.append(reinterpret_cast<const char*>(out.data()), out.size());
    }
    return content;
  }

  TempDir dir_;
  std::optional<Archive> archive_;
};

TEST_F(Reader, StretchesGiveTheFiles) {
  const FileReader reader(*archive_);
  for (size_t f = 0; f < file_count(); ++f) {
    EXPECT_TRUE(ReadAll(*archive_, reader, f) == Original(f)) << archive_->file(f).path;
  }
}

TEST_F(Reader, StretchesOfASlowSource) {
  OpenOptions options;
  options.read_ahead = 3;
  options.read_size = 1 << 16;
  const auto archive =
      Archive::Open(std::make_shared<MemorySource>(ReadFile(Path())), "memory", options);
  ASSERT_TRUE(archive.ok());
  const FileReader reader(*archive);
  for (size_t f = 0; f < file_count(); ++f) {
    EXPECT_TRUE(ReadAll(*archive, reader, f) == Original(f)) << archive->file(f).path;
  }
}

TEST_F(Reader, AnyRangeFromManyThreads) {
  const FileReader reader(*archive_, {1 << 20, 0});
  std::vector<std::string> originals;
  for (size_t f = 0; f < file_count(); ++f) originals.push_back(Original(f));
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 60; ++i) {
        const size_t f = random() % originals.size();
        const std::string& original = originals[f];
        const size_t begin = random() % (original.size() + 1);
        const size_t size = std::min<size_t>(original.size() - begin, random() % 300000);
        Buffer out(size);
        const Status status = reader.Read(f, begin, out);
        ASSERT_TRUE(status.ok()) << status.ToString();
        ASSERT_TRUE(std::ranges::equal(out, testing::Bytes(original).subspan(begin, size)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

// What chunks take whole is read once, not for each stretch.
TEST_F(Reader, ReadsWhatALoadReads) {
  for (size_t v = 0; v < archive_->variant_count(); ++v) {
    const FileReader reader(*archive_);
    const auto sizes = archive_->SizesOf(v);
    ASSERT_TRUE(sizes.ok());
    const uint64_t before = archive_->bytes_read();
    ReadAll(*archive_, reader, Weights(archive_->variant(v).name));
    EXPECT_LE(archive_->bytes_read() - before, sizes->load_bytes);
    EXPECT_GT(archive_->bytes_read() - before, sizes->load_bytes / 2);
  }
}

// A few bytes cost the chunks that have them.
TEST_F(Reader, DecodesNoMoreThanIsAskedFor) {
  const FileReader reader(*archive_);
  const size_t file = Weights("high");
  const uint64_t before = archive_->bytes_read();
  Buffer out(8);
  ASSERT_TRUE(reader.Read(file, archive_->file(file).size / 2, out).ok());
  EXPECT_LT(archive_->bytes_read() - before, uint64_t{1} << 20);
}

TEST_F(Reader, RangesThatAreNotThere) {
  const FileReader reader(*archive_);
  const uint64_t size = archive_->file(0).size;
  Buffer byte(1);
  EXPECT_TRUE(reader.Read(0, size, {}).ok());
  EXPECT_EQ(reader.Read(0, size, byte).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(reader.Read(0, UINT64_MAX, byte).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(reader.Read(file_count(), 0, byte).code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(reader.StretchAt(0, size).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(reader.StretchAt(file_count(), 0).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(reader.OffsetOf(SIZE_MAX).status().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Reader, TellsWhereTensorsLie) {
  const FileReader reader(*archive_);
  size_t count = 0;
  for (size_t v = 0; v < archive_->variant_count(); ++v) count += archive_->variant(v).tensor_count;
  ASSERT_GT(count, 8u);
  for (size_t t = 0; t < count; ++t) {
    const TensorInfo info = archive_->tensor(t);
    Buffer expected(info.byte_size);
    ASSERT_TRUE(archive_->ReadTensor(t, expected).ok());
    const auto offset = reader.OffsetOf(t);
    ASSERT_TRUE(offset.ok()) << offset.status().ToString();
    Buffer out(info.byte_size);
    ASSERT_TRUE(reader.Read(info.file, *offset, out).ok());
    EXPECT_TRUE(out == expected) << info.name;
  }
}

TEST_F(Reader, NamesWhatIsDamaged) {
  std::string bytes = ReadFile(Path());
  for (size_t at = 4096; at + 4096 < bytes.size(); at += 997) bytes[at] ^= 1;
  const auto archive = Archive::Open(std::make_shared<MemorySource>(bytes), "memory");
  ASSERT_TRUE(archive.ok()) << archive.status().ToString();
  const FileReader reader(*archive);
  const size_t file = Weights("low");
  Buffer out(archive->file(file).size);
  const Status status = reader.Read(file, 0, out);
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  for (const char* part : {"memory", "of variant 'low'", "chunk ", "at offset "}) {
    EXPECT_NE(status.message().find(part), std::string::npos) << status.message();
  }
}

// Where memory is too small the call says so; where it is enough for one, all come to their end.
TEST_F(Reader, TakesWhatMemoryThereIs) {
  bool was_enough = false;
  unsigned refused = 0;
  for (uint64_t memory = uint64_t{1} << 18; memory < uint64_t{40} << 20; memory += memory / 3) {
    OpenOptions options;
    options.max_memory = memory;
    const auto archive = Archive::Open(Path(), options);
    if (!archive.ok()) {
      EXPECT_EQ(archive.status().code(), ErrorCode::kLimit);
      continue;
    }
    const FileReader reader(*archive);
    const size_t file = Weights("high");
    Buffer out(archive->file(file).size);
    const Status status = reader.Read(file, 0, out);
    EXPECT_TRUE(status.ok() || !was_enough) << status.ToString();
    was_enough = status.ok();
    if (was_enough) {
      ASSERT_TRUE(std::ranges::equal(out, testing::Bytes(Original(file))));
    } else {
      EXPECT_EQ(status.code(), ErrorCode::kLimit);
      ++refused;
    }
  }
  EXPECT_TRUE(was_enough);
  EXPECT_GT(refused, 0u);
}

}  // namespace
}  // namespace qstore
