// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/file_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "unit/store/model_files.h"

namespace qstore::mount {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests
using namespace std::chrono_literals;

class Cache : public ::testing::Test {
 public:
  static void SetUpTestSuite() {
    made_ = new Made;
    made_->Make();
  }
  static void TearDownTestSuite() {
    delete made_;
    made_ = nullptr;
  }

 protected:
  // An archive of weights that take several stretches, made once.
  struct Made {
    void Make();
    TempDir dir;
    std::optional<Archive> archive;
    std::vector<std::string> originals;
    size_t large = 0;  // The file of the weights in 16 bits.
  };
  static Made* made_;

  const TempDir& dir_ = made_->dir;
  const std::optional<Archive>& archive_ = made_->archive;
  const std::vector<std::string>& originals_ = made_->originals;
  const size_t large_ = made_->large;

  std::unique_ptr<FileCache> Make(uint64_t memory = FileCacheOptions().memory,
                                  bool is_slow = false) const {
    auto cache = FileCache::Make(*archive_, {memory, 2, is_slow});
    EXPECT_TRUE(cache.ok()) << cache.status().ToString();
    return std::move(cache).value();
  }

  static std::string ReadRange(FileCache* cache, Reading* reading, uint64_t begin, size_t size) {
    std::string out(size, '\0');
    const Status status =
        cache->Read(reading, begin, std::as_writable_bytes(std::span(out.data(), out.size())));
    EXPECT_TRUE(status.ok()) << status.ToString();
    return out;
  }
};

Cache::Made* Cache::made_ = nullptr;

void Cache::Made::Make() {
  WritePair(dir / "high", dir / "low", 2500, 1000);
  archive.emplace(PackAndOpen({{"high", dir / "high"}, {"low", dir / "low"}}, dir / "m.qstore"));
  for (size_t v = 0; v < archive->variant_count(); ++v) {
    const VariantInfo variant = archive->variant(v);
    for (size_t f = 0; f < variant.file_count; ++f) {
      const FileInfo info = archive->file(variant.first_file + f);
      originals.push_back(ReadFile(dir / variant.name / info.path));
    }
  }
  const size_t tensor = *archive->FindTensor(*archive->FindVariant("high"), "a.weight");
  large = archive->tensor(tensor).file;
}

TEST_F(Cache, GivesEveryFileFromItsBeginning) {
  for (const bool is_slow : {false, true}) {
    const auto cache = Make(FileCacheOptions().memory, is_slow);
    for (size_t f = 0; f < originals_.size(); ++f) {
      Reading reading(f);
      std::string content;
      while (content.size() < originals_[f].size()) {
        content += ReadRange(cache.get(), &reading, content.size(),
                             std::min<size_t>(131072, originals_[f].size() - content.size()));
      }
      EXPECT_TRUE(content == originals_[f]) << archive_->file(f).path;
    }
  }
}

// Also with memory for a few stretches, and with one reading for all threads.
TEST_F(Cache, GivesAnyRangeToManyThreads) {
  for (const uint64_t memory : {uint64_t{1} << 20, uint64_t{192} << 20}) {
    const auto cache = Make(memory);
    Reading shared(large_);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        std::mt19937 random(t);
        Reading own(large_);
        for (int i = 0; i < 25; ++i) {
          const std::string& original = originals_[large_];
          const size_t begin = random() % original.size();
          const size_t size = std::min<size_t>(original.size() - begin, random() % (3 << 20));
          Reading* const reading = i % 2 == 0 ? &own : &shared;
          ASSERT_TRUE(ReadRange(cache.get(), reading, begin, size) == original.substr(begin, size));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// Who reads on finds what comes next decoded; who jumps about costs no more than what is asked for.
TEST_F(Cache, DecodesAheadOfThoseWhoReadOn) {
  const auto cache = Make();
  const auto begin_of = [&](size_t stretch) {
    uint64_t at = 0;
    for (; stretch > 0; --stretch) at = cache->reader().StretchAt(large_, at)->end;
    return at;
  };
  // By somebody who does not read on.
  const auto is_decoded = [&](size_t stretch) {
    Reading reading(large_);
    const uint64_t before = archive_->bytes_read();
    EXPECT_TRUE(cache->Find(&reading, begin_of(stretch), 1).ok());
    return archive_->bytes_read() == before;
  };
  const auto read = [&](Reading* reading, size_t stretch) {
    EXPECT_TRUE(cache->Find(reading, begin_of(stretch), 1).ok());
    std::this_thread::sleep_for(500ms);
  };
  ASSERT_GT(originals_[large_].size(), uint64_t{9} << 20);
  Reading reading(large_);
  read(&reading, 0);
  read(&reading, 1);
  EXPECT_TRUE(is_decoded(2));
  EXPECT_TRUE(is_decoded(3));
  EXPECT_FALSE(is_decoded(6)) << "that is far ahead";
  Reading jumping(large_);
  read(&jumping, 4);
  EXPECT_FALSE(is_decoded(5));
}

TEST_F(Cache, TellsWhatIsNotThere) {
  const auto cache = Make();
  Reading reading(large_);
  EXPECT_EQ(cache->Find(&reading, originals_[large_].size(), 1).status().code(),
            ErrorCode::kInvalidArgument);
  Reading none(originals_.size());
  EXPECT_EQ(cache->Find(&none, 0, 1).status().code(), ErrorCode::kInvalidArgument);
}

TEST_F(Cache, TellsWhatIsDamaged) {
  std::string bytes = ReadFile(dir_ / "m.qstore");
  for (size_t at = 4096; at + 4096 < bytes.size(); at += 997) bytes[at] ^= 1;
  const auto archive = Archive::Open(std::make_shared<MemorySource>(bytes), "memory");
  ASSERT_TRUE(archive.ok());
  const auto cache = FileCache::Make(*archive, {});
  ASSERT_TRUE(cache.ok());
  Reading reading(large_);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ((*cache)->Find(&reading, originals_[large_].size() / 2, 1).status().code(),
              ErrorCode::kCorrupt);
  }
}

}  // namespace
}  // namespace qstore::mount
