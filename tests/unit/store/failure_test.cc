// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <functional>

#include "qstore/verify.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

// Everything below a directory, folders included.
std::vector<std::string> Listing(const fs::path& root) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    names.push_back(fs::relative(entry.path(), root).generic_string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class Failure : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePair(dir_ / "high", dir_ / "low");
    fs::create_directories(dir_ / "out");
  }
  std::vector<VariantSource> Pair() const {
    return {{"high", dir_ / "high"}, {"low", dir_ / "low"}};
  }
  // Expects an error of that code and nothing new.
  void ExpectPackFails(const std::vector<VariantSource>& variants, ErrorCode code,
                       const PackOptions& options = {}) {
    const auto before = Listing(dir_.path());
    const auto report = Pack(variants, dir_ / "out/sub/m.qstore", options);
    EXPECT_EQ(report.status().code(), code) << report.status().ToString();
    EXPECT_FALSE(report.status().message().empty());
    EXPECT_EQ(Listing(dir_.path()), before);
  }
  TempDir dir_;
};

TEST_F(Failure, PackNamesWhatIsWrongWithItsInput) {
  const fs::path high = dir_ / "high";
  const fs::path low = dir_ / "low";
  ExpectPackFails({}, ErrorCode::kInvalidArgument);
  ExpectPackFails({{"a", high}, {"a", low}}, ErrorCode::kInvalidArgument);
  ExpectPackFails({{"a", high}, {"b", high}}, ErrorCode::kInvalidArgument);
  ExpectPackFails({{"a", high}, {"b", dir_ / "low/../high"}}, ErrorCode::kInvalidArgument);
  ExpectPackFails({{"a/b", high}}, ErrorCode::kInvalidArgument);
  ExpectPackFails({{"", high}}, ErrorCode::kInvalidArgument);
  ExpectPackFails({{"a", dir_ / "none"}}, ErrorCode::kNotFound);
  ExpectPackFails({{"a", dir_ / "out"}}, ErrorCode::kInvalidArgument);
  WriteFile(dir_ / "odd/back\\slash", "x");
  ExpectPackFails({{"a", dir_ / "odd"}}, ErrorCode::kInvalidArgument);
  WriteFile(dir_ / "shards/model.safetensors.index.json",
            R"({"weight_map":{"a":"model-00001-of-00002.safetensors"}})");
  ExpectPackFails({{"a", dir_ / "shards"}}, ErrorCode::kNotFound);
}

TEST_F(Failure, ExistingOutputStaysUnlessForced) {
  WriteFile(dir_ / "m.qstore", "mine");
  PackOptions options;
  options.sync = false;
  EXPECT_EQ(Pack(Pair(), dir_ / "m.qstore", options).status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(dir_ / "m.qstore"), "mine");
  options.overwrite = true;
  const fs::path input = dir_ / "high/model.safetensors";
  EXPECT_EQ(Pack(Pair(), input, options).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(Pack(Pair(), dir_ / "m.qstore", options).ok());
  EXPECT_TRUE(Archive::Open(dir_ / "m.qstore").ok());
}

TEST_F(Failure, CancelledPackLeavesNothing) {
  for (const int calls : {0, 1, 5, 20}) {
    PackOptions options;
    int left = calls;
    options.progress = [&](const Progress& progress) {
      EXPECT_LE(progress.done_bytes, progress.total_bytes);
      return left-- > 0;
    };
    ExpectPackFails(Pair(), ErrorCode::kCancelled, options);
  }
}

// Changes an input once packing has begun to code, as seen by its progress.
TEST_F(Failure, SourceThatChangesWhileItIsReadIsFound) {
  const std::vector<std::function<void()>> changes = {
      [&] { fs::resize_file(dir_ / "high/model.safetensors", 1000); },
      [&] {
        fs::remove(dir_ / "low/model.safetensors");
        WriteFile(dir_ / "low/model.safetensors", "another file");
      },
      [&] { WriteFile(dir_ / "high/model.safetensors", std::string(2'000'000, 'x')); },
  };
  for (const auto& change : changes) {
    SetUp();
    bool changed = false;
    PackOptions options;
    options.threads = 1;
    options.progress = [&](const Progress& progress) {
      if (progress.done_bytes > 0 && !std::exchange(changed, true)) change();
      return true;
    };
    ExpectPackFails(Pair(), ErrorCode::kSourceChanged, options);
    EXPECT_TRUE(changed);
  }
}

// Runs `body` with a limit on the size of files, as a full disk.
void WithSmallDisk(rlim_t bytes, const std::function<void()>& body) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{bytes, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  body();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
}

TEST_F(Failure, FullDiskLeavesNothing) {
  WithSmallDisk(100'000, [&] { ExpectPackFails(Pair(), ErrorCode::kIo); });
  const Archive archive = PackAndOpen(Pair(), dir_ / "m.qstore");
  const auto before = Listing(dir_.path());
  WithSmallDisk(100'000, [&] {
    EXPECT_EQ(Unpack(archive, "high", dir_ / "x/y").status().code(), ErrorCode::kIo);
    EXPECT_EQ(Unpack(archive, "high", dir_ / "out").status().code(), ErrorCode::kIo);
  });
  EXPECT_EQ(Listing(dir_.path()), before);
}

TEST_F(Failure, DamagedArchivesNeverUnpackAndNeverVerify) {
  PackAndOpen(Pair(), dir_ / "m.qstore");
  const std::string good = ReadFile(dir_ / "m.qstore");
  const auto before = Listing(dir_.path());
  const auto expect_found = [&](const std::string& bytes) {
    const TempDir bad;
    WriteFile(bad / "m.qstore", bytes);
    const auto archive = Archive::Open(bad / "m.qstore");
    if (!archive.ok()) return;
    EXPECT_EQ(Verify(*archive).status().code(), ErrorCode::kCorrupt);
    bool failed = false;
    for (const char* variant : {"high", "low"}) {
      const TempDir out;
      UnpackOptions options;
      options.sync = false;
      const auto report = Unpack(*archive, variant, out / "v", options);
      failed |= !report.ok();
      EXPECT_EQ(Listing(out.path()).empty(), !report.ok());
    }
    EXPECT_TRUE(failed);
  };
  std::mt19937_64 random(3);
  for (int i = 0; i < 60; ++i) {
    std::string bad = good;
    const uint64_t bit = random() % (8 * bad.size());
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    expect_found(bad);
  }
  for (int i = 0; i < 30; ++i) {
    const std::string bad = good.substr(0, random() % good.size());
    WriteFile(dir_ / "bad.qstore", bad);
    EXPECT_FALSE(Archive::Open(dir_ / "bad.qstore").ok()) << bad.size();
  }
  WriteFile(dir_ / "bad.qstore", good + "x");
  EXPECT_FALSE(Archive::Open(dir_ / "bad.qstore").ok());
  EXPECT_EQ(Archive::Open(dir_ / "none").status().code(), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace qstore
