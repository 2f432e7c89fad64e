// SPDX-License-Identifier: Apache-2.0
#include "store/read_ahead.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "qstore/verify.h"
#include "store/archive_file.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using std::chrono::milliseconds;

constexpr uint64_t kReadSize = 20000;

// Memory in which reading takes a while, that notes what is read and can fail.
class SlowSource final : public ByteSource {
 public:
  explicit SlowSource(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }

  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    const unsigned running = ++running_;
    {
      const std::lock_guard lock(mutex_);
      most_running_ = std::max(most_running_, running);
      reads_.push_back({offset, out.size()});
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    --running_;
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) {
      return IoError("read outside the source");
    }
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return on_read ? on_read(offset, out) : Status();
  }
  Status CheckUnchanged() const override {
    return is_changed ? SourceChanged("other bytes than before") : Status();
  }

  std::vector<store::Extent> TakeReads() const {
    const std::lock_guard lock(mutex_);
    return std::exchange(reads_, {});
  }
  uint64_t BytesRead() const {
    const std::lock_guard lock(mutex_);
    uint64_t sum = 0;
    for (const store::Extent& read : reads_) sum += read.size;
    return sum;
  }
  unsigned most_running() const { return most_running_; }

  std::function<Status(uint64_t, std::span<std::byte>)> on_read;
  bool is_changed = false;

 private:
  std::string bytes_;
  mutable std::atomic<unsigned> running_{0};
  mutable std::mutex mutex_;
  mutable unsigned most_running_ = 0;
  mutable std::vector<store::Extent> reads_;
};

class ReadAheadTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    WritePair(*dir_ / "high", *dir_ / "low", 1100, 700);
    local_ = std::make_unique<Archive>(
        PackAndOpen({{"high", *dir_ / "high"}, {"low", *dir_ / "low"}}, *dir_ / "m.qstore", {}));
  }
  static void TearDownTestSuite() {
    local_.reset();
    dir_.reset();
  }
  void SetUp() override { source_ = std::make_shared<SlowSource>(ReadFile(*dir_ / "m.qstore")); }

  Archive Open(unsigned read_ahead = 4, uint64_t read_size = kReadSize) const {
    OpenOptions options;
    options.read_ahead = read_ahead;
    options.read_size = read_size;
    auto archive = Archive::Open(source_, "far/m.qstore", options);
    EXPECT_TRUE(archive.ok()) << archive.status().ToString();
    return std::move(archive).value();
  }

  static void ExpectSame(const Archive& archive, const std::vector<size_t>& variants) {
    const auto here = local_->Load(variants);
    const auto there = archive.Load(variants, 2);
    ASSERT_TRUE(here.ok() && there.ok()) << there.status().ToString();
    ASSERT_EQ(here->size(), there->size());
    for (size_t i = 0; i < here->size(); ++i) {
      const auto a = here->content(i);
      const auto b = there->content(i);
      EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << i;
    }
  }

  static std::unique_ptr<TempDir> dir_;
  static std::unique_ptr<Archive> local_;
  std::shared_ptr<SlowSource> source_;
};

std::unique_ptr<TempDir> ReadAheadTest::dir_;
std::unique_ptr<Archive> ReadAheadTest::local_;

TEST_F(ReadAheadTest, GivesTheSameBytes) {
  for (const unsigned threads : {1U, 3U, 9U}) {
    for (const uint64_t read_size : {uint64_t{4999}, kReadSize, uint64_t{1} << 22}) {
      SCOPED_TRACE(std::to_string(threads) + " threads, reads of " + std::to_string(read_size));
      const Archive archive = Open(threads, read_size);
      for (const std::vector<size_t>& variants : {std::vector<size_t>{0}, {1}, {0, 1}, {1, 1}}) {
        ExpectSame(archive, variants);
      }
    }
  }
}

TEST_F(ReadAheadTest, UnpacksAndVerifies) {
  const Archive archive = Open();
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    EXPECT_TRUE(Unpacked(archive, archive.variant(v).name) ==
                ReadTree(*dir_ / archive.variant(v).name));
  }
  source_->TakeReads();
  const auto report = Verify(archive, {}, {});
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  for (const store::Extent& read : source_->TakeReads()) EXPECT_LE(read.size, kReadSize);
}

TEST_F(ReadAheadTest, ReadsAreLargeAndSeveralAtOnce) {
  const Archive archive = Open();
  EXPECT_EQ(source_->TakeReads().size(), 2U);  // The header; footer and index together.
  ExpectSame(archive, {1});
  const auto reads = source_->TakeReads();
  EXPECT_GE(source_->most_running(), 3U);
  uint64_t bytes = 0;
  for (const store::Extent& read : reads) {
    EXPECT_LE(read.size, kReadSize);
    bytes += read.size;
  }
  EXPECT_LE(reads.size(), 2 * (bytes / kReadSize) + 4);
}

TEST_F(ReadAheadTest, ReadsNothingTwiceAndLittleMoreThanNeeded) {
  for (size_t v = 0; v < local_->variant_count(); ++v) {
    const Archive archive = Open();
    source_->TakeReads();
    ExpectSame(archive, {v});
    auto reads = source_->TakeReads();
    std::sort(reads.begin(), reads.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
    for (size_t r = 1; r < reads.size(); ++r) {
      EXPECT_LE(reads[r - 1].offset + reads[r - 1].size, reads[r].offset);
    }
    EXPECT_LE(archive.bytes_read(), local_->SizesOf(v)->load_bytes + (uint64_t{64} << 10));
  }
  const Archive archive = Open();
  ExpectSame(archive, {0});
  EXPECT_LT(archive.bytes_read(), local_->stored_bytes() * 4 / 5);
}

TEST_F(ReadAheadTest, KeepsToItsMemory) {
  const Archive archive = Open(3);
  source_->TakeReads();
  const uint64_t end = archive.stored_bytes();
  const size_t units = end / 5000;
  ASSERT_GT(units, 50U);
  store::ReadAhead ahead(archive.impl(),
                         [units, next = size_t{0}](std::vector<store::Extent>* extents) mutable {
                           if (next == units) return false;
                           extents->push_back({next++ * 5000, 5000});
                           return true;
                         });
  const auto settled = [&] {
    uint64_t before;
    do {
      before = source_->BytesRead();
      std::this_thread::sleep_for(milliseconds(100));
    } while (before != source_->BytesRead());
    return before;
  };
  EXPECT_LE(settled(), (3 + 2) * kReadSize);
  EXPECT_GE(settled(), 3 * kReadSize);
  for (size_t unit = 0; unit < units; ++unit) {
    std::vector<std::byte> out(5000);
    ahead.Begin(unit);
    ASSERT_TRUE(ahead.Read(unit * 5000, out).ok());
    ahead.Done(unit);
  }
  EXPECT_EQ(source_->BytesRead(), units * 5000);
}

TEST_F(ReadAheadTest, PassesErrorsOn) {
  const Archive archive = Open();
  std::atomic<int> left{3};
  source_->on_read = [&](uint64_t, std::span<std::byte>) {
    return --left < 0 ? IoError("the line is dead") : Status();
  };
  const auto loaded = archive.Load(std::vector<size_t>{0, 1}, 2);
  ASSERT_FALSE(loaded.ok());
  EXPECT_EQ(loaded.status().code(), ErrorCode::kIo);
  EXPECT_EQ(loaded.status().message(), "the line is dead");
  source_->on_read = [](uint64_t, std::span<std::byte>) -> Status { throw std::bad_alloc(); };
  EXPECT_EQ(archive.Load(std::vector<size_t>{1}, 2).status().code(), ErrorCode::kLimit);
  source_->on_read = nullptr;
  ExpectSame(archive, {0, 1});
}

TEST_F(ReadAheadTest, TellsDamageFromChange) {
  const Archive fresh = Open();
  const Archive archive = Open();
  ExpectSame(archive, {0});
  source_->on_read = [](uint64_t, std::span<std::byte> out) {
    out[out.size() / 2] ^= std::byte{1};
    return Status();
  };
  Status status = archive.Load(std::vector<size_t>{0}, 2).status();
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  EXPECT_NE(status.message().find("far/m.qstore: tensor '"), std::string::npos);
  status = fresh.Load(std::vector<size_t>{0}, 1).status();
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  EXPECT_NE(status.message().find("far/m.qstore: header of file '"), std::string::npos);
  source_->is_changed = true;
  status = archive.Load(std::vector<size_t>{0}, 2).status();
  EXPECT_EQ(status.code(), ErrorCode::kSourceChanged) << status.ToString();
  EXPECT_EQ(Archive::Open(source_, "far", {}).status().code(), ErrorCode::kSourceChanged);
}

}  // namespace
}  // namespace qstore
