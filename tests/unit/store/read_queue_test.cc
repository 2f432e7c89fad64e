// SPDX-License-Identifier: Apache-2.0
#include "qstore/read_queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <thread>

#include "unit/refused_memory.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Bytes = std::vector<std::byte>;

constexpr unsigned kThreads[] = {1, 2, 5};

/// Memory whose reads can be made to wait or to fail.
class TestSource final : public ByteSource {
 public:
  explicit TestSource(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    ++begun;
    while (held) std::this_thread::yield();
    if (fails) return IoError("this read fails");
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  mutable std::atomic<unsigned> begun{0};
  std::atomic<bool> held{false};
  std::atomic<bool> fails{false};

 private:
  const std::string bytes_;
};

class Queue : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePair(dir_ / "high", dir_ / "low", 1100, 700);
    const std::vector<VariantSource> variants = {{"high", dir_ / "high"}, {"low", dir_ / "low"}};
    archive_.emplace(PackAndOpen(variants, dir_ / "m.qstore"));
    for (size_t v = 0; v < 2; ++v) count_ += archive_->variant(v).tensor_count;
    for (size_t t = 0; t < count_; ++t) {
      originals_.emplace_back(archive_->tensor(t).byte_size);
      ASSERT_TRUE(archive_->ReadTensor(t, originals_[t]).ok());
    }
    large_ = *archive_->FindTensor(1, "a.weight");
  }

  Bytes BufferFor(size_t tensor) const { return Bytes(originals_[tensor].size()); }
  Archive OpenSource(std::shared_ptr<TestSource>* source, unsigned read_ahead = 0) const {
    *source = std::make_shared<TestSource>(ReadFile(dir_ / "m.qstore"));
    OpenOptions options;
    options.read_ahead = read_ahead;
    auto archive = Archive::Open(*source, "memory", options);
    EXPECT_TRUE(archive.ok()) << archive.status().ToString();
    return std::move(archive).value();
  }

  // Asks for each tensor some reads before it is needed.
  void ReadAll(const Archive& archive, unsigned threads, size_t ahead) const {
    ReadQueue queue(archive, threads);
    std::deque<std::pair<uint64_t, Bytes>> begun;
    for (size_t begin = 0, t = 0; t < count_; ++t) {
      for (; begin < count_ && begin <= t + ahead; ++begin) {
        Bytes buffer = BufferFor(begin);
        auto number = queue.Begin({begin, buffer});
        ASSERT_TRUE(number.ok()) << number.status().ToString();
        begun.emplace_back(*number, std::move(buffer));
      }
      const Status status = queue.Finish(begun.front().first);
      ASSERT_TRUE(status.ok()) << status.ToString();
      EXPECT_TRUE(begun.front().second == originals_[t]) << archive.tensor(t).name;
      begun.pop_front();
    }
  }

  TempDir dir_;
  std::optional<Archive> archive_;
  size_t count_ = 0;
  size_t large_ = 0;
  std::vector<Bytes> originals_;
};

TEST_F(Queue, TensorAfterTensor) {
  for (const unsigned threads : kThreads) {
    for (const size_t ahead : {size_t{0}, size_t{1}, count_}) ReadAll(*archive_, threads, ahead);
  }
}

TEST_F(Queue, OfASourceThatIsReadAhead) {
  for (const unsigned threads : kThreads) {
    std::shared_ptr<TestSource> source;
    ReadAll(OpenSource(&source, 2), threads, 2);
  }
}

TEST_F(Queue, ReadsNothingTwice) {
  uint64_t alone = 0;
  for (size_t t = 0; t < count_; ++t) {
    const uint64_t before = archive_->bytes_read();
    Bytes buffer = BufferFor(t);
    ASSERT_TRUE(archive_->ReadTensor(t, buffer).ok());
    alone += archive_->bytes_read() - before;
  }
  const uint64_t before = archive_->bytes_read();
  ReadAll(*archive_, 3, 2);
  EXPECT_EQ(archive_->bytes_read() - before, alone);
}

TEST_F(Queue, RowsAndRequestsThatAreWrong) {
  ReadQueue queue(*archive_, 2);
  const size_t row_bytes = originals_[large_].size() / 1100;
  Bytes rows(300 * row_bytes);
  auto number = queue.Begin({large_, rows, 500, 800});
  ASSERT_TRUE(number.ok());
  ASSERT_TRUE(queue.Finish(*number).ok());
  EXPECT_EQ(std::memcmp(rows.data(), &originals_[large_][500 * row_bytes], rows.size()), 0);
  EXPECT_EQ(queue.Finish(*number).code(), ErrorCode::kCancelled) << "each is finished once";
  EXPECT_EQ(queue.Begin({large_, rows}).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(queue.Begin({large_, rows, 801, 1101}).status().code(), ErrorCode::kInvalidArgument);
  auto none = queue.Begin({large_, {}, 7, 7});
  ASSERT_TRUE(none.ok());
  EXPECT_TRUE(queue.Finish(*none).ok());
  EXPECT_EQ(queue.Finish(12345).code(), ErrorCode::kCancelled);
}

TEST_F(Queue, ThreadsOfTheCallersWork) {
  ReadQueue queue(*archive_, 3);
  std::atomic<unsigned> wrong{0};
  std::vector<std::thread> callers;
  for (unsigned c = 0; c < 4; ++c) {
    callers.emplace_back([&, c] {
      for (size_t i = 0; i < 3 * count_; ++i) {
        const size_t t = (i * (c + 1) + c) % count_;
        Bytes buffer = BufferFor(t);
        auto number = queue.Begin({t, buffer});
        if (!number.ok() || !queue.Finish(*number).ok() || buffer != originals_[t]) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(wrong, 0u);
}

TEST_F(Queue, AnErrorBelongsToItsRead) {
  std::shared_ptr<TestSource> source;
  const Archive archive = OpenSource(&source);
  for (const unsigned threads : kThreads) {
    ReadQueue queue(archive, threads);
    Bytes first = BufferFor(large_);
    Bytes second = BufferFor(large_);
    source->fails = true;
    auto failing = queue.Begin({large_, first});
    ASSERT_TRUE(failing.ok());
    const Status status = queue.Finish(*failing);
    EXPECT_EQ(status.code(), ErrorCode::kIo) << status.ToString();
    source->fails = false;
    auto other = queue.Begin({large_, second});
    ASSERT_TRUE(other.ok());
    EXPECT_TRUE(queue.Finish(*other).ok());
    EXPECT_TRUE(second == originals_[large_]);
  }
}

TEST_F(Queue, NothingIsWrittenAfterCancel) {
  std::shared_ptr<TestSource> source;
  const Archive archive = OpenSource(&source);
  ReadQueue queue(archive, 3);
  for (int round = 0; round < 20; ++round) {
    const bool waits = round % 2 == 0;
    std::vector<Bytes> buffers(3, BufferFor(large_));
    std::vector<uint64_t> numbers;
    source->begun = 0;
    source->held = waits;
    for (Bytes& buffer : buffers) numbers.push_back(*queue.Begin({large_, buffer}));
    while (source->begun == 0) std::this_thread::yield();
    std::thread cancel([&] { queue.Cancel(); });
    source->held = false;
    cancel.join();
    for (Bytes& buffer : buffers) std::fill(buffer.begin(), buffer.end(), std::byte{0x5A});
    for (const uint64_t number : numbers) {
      EXPECT_EQ(queue.Finish(number).code(), ErrorCode::kCancelled);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    for (const Bytes& buffer : buffers)
      EXPECT_TRUE(buffer == Bytes(buffer.size(), std::byte{0x5A}));
  }
  ReadAll(archive, 2, 1);
}

TEST_F(Queue, ProgressTellsAndStopsItsReadAlone) {
  for (const unsigned threads : kThreads) {
    ReadQueue queue(*archive_, threads);
    Bytes first = BufferFor(large_);
    Bytes second = BufferFor(large_);
    auto stopped = queue.Begin({large_, first});
    auto other = queue.Begin({large_, second});
    ASSERT_TRUE(stopped.ok() && other.ok());
    unsigned calls = 0;
    const Status status = queue.Finish(*stopped, [&](const Progress& progress) {
      EXPECT_LE(progress.done_bytes, progress.total_bytes);
      EXPECT_EQ(progress.total_bytes, first.size());
      return ++calls < 2;
    });
    // Others may have ended the read before this thread was asked.
    EXPECT_TRUE(threads > 1 ? status.ok() || calls == 2 : calls == 2) << status.ToString();
    EXPECT_EQ(status.ok(), calls < 2);
    EXPECT_TRUE(queue.Finish(*other, [](const Progress&) { return true; }).ok());
    EXPECT_TRUE(second == originals_[large_]);
  }
}

TEST_F(Queue, EndsWhileReading) {
  for (int round = 0; round < 50; ++round) {
    std::vector<Bytes> buffers(count_);
    ReadQueue queue(*archive_, 1 + round % 4);
    for (size_t t = 0; t < count_; ++t) {
      buffers[t] = BufferFor(t);
      ASSERT_TRUE(queue.Begin({t, buffers[t]}).ok());
    }
    if (round % 3 == 0) static_cast<void>(queue.Finish(0));
  }
}

TEST_F(Queue, NeedsNoMemoryToEnd) {
  for (const unsigned threads : kThreads) {
    auto queue = std::make_unique<ReadQueue>(*archive_, threads);
    std::vector<Bytes> buffers;
    for (size_t t = 0; t < count_; ++t) buffers.push_back(BufferFor(t));
    for (size_t t = 0; t < count_; ++t) ASSERT_TRUE(queue->Begin({t, buffers[t]}).ok());
    const RefusedMemory refused(0, /*stays=*/true);
    queue.reset();
  }
}

}  // namespace
}  // namespace qstore
