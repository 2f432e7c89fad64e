// SPDX-License-Identifier: Apache-2.0
// What a machine that stops may leave of an archive that was being changed: of the bytes written
// since the last sync any sectors, and either length. The call below stands in front of that of the
// C library.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <random>

#include "qstore/change.h"
#include "qstore/verify.h"
#include "unit/store/model_files.h"

namespace {

std::function<void()> on_sync;
int syncs_until_failure = 0;  // 0: none fails.

}  // namespace

extern "C" int fsync(int fd) {
  if (syncs_until_failure > 0 && --syncs_until_failure == 0) {
    errno = EIO;
    return -1;
  }
  if (on_sync) {
    on_sync();
    return 0;  // The tests need no disk.
  }
  return static_cast<int>(::syscall(SYS_fsync, fd));
}

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

class Crash : public ::testing::Test {
 protected:
  Crash() {
    WritePair(dir_ / "high", dir_ / "low", 40, 300);
    WriteSafetensors(dir_ / "other/model.safetensors",
                     {{"x.weight", DType::kBF16, {50, 1000}, RandomBytes(100'000, 7)}});
  }
  void TearDown() override {
    on_sync = nullptr;
    syncs_until_failure = 0;
  }

  std::vector<VariantSource> Sources(const std::vector<std::string>& names) const {
    std::vector<VariantSource> sources;
    for (const std::string& name : names) sources.push_back({name, dir_ / name});
    return sources;
  }
  using Names = std::vector<std::string>;

  // The archive has one of the two lists of variants, intact.
  void ExpectEither(const std::string& bytes, const Names& before, const Names& after) const {
    WriteFile(dir_ / "left.qstore", bytes);
    const auto archive = Archive::Open(dir_ / "left.qstore");
    ASSERT_TRUE(archive.ok()) << archive.status().ToString();
    Names names;
    for (size_t v = 0; v < archive->variant_count(); ++v) {
      names.emplace_back(archive->variant(v).name);
    }
    EXPECT_TRUE(names == before || names == after);
    const auto verified = Verify(*archive, Sources(names));
    EXPECT_TRUE(verified.ok()) << verified.status().ToString();
  }

  // Some sectors of the later state, and of the earlier one where it has them.
  std::string Mixed(const std::string& earlier, const std::string& later) {
    constexpr size_t kSector = 512;
    std::string mixed(random_() % 2 == 0 ? earlier.size() : later.size(), '\0');
    const auto share = random_() % 5;
    for (size_t at = 0; at < mixed.size(); at += kSector) {
      const std::string& from = random_() % 4 < share ? later : earlier;
      if (at >= from.size()) continue;
      const size_t size = std::min({kSector, from.size() - at, mixed.size() - at});
      mixed.replace(at, size, from, at, size);
    }
    return mixed;
  }

  // Runs a change, and looks at what crashes in it would leave.
  void Check(const Names& before, const Names& after, const std::function<Status()>& change) {
    std::vector<std::string> states = {ReadFile(archive_)};
    on_sync = [&] { states.push_back(ReadFile(archive_)); };
    const Status status = change();
    on_sync = nullptr;
    ASSERT_TRUE(status.ok()) << status.ToString();
    ASSERT_GE(states.size(), 3u);
    EXPECT_EQ(states.back(), ReadFile(archive_));
    ExpectEither(states.back(), after, after);
    for (size_t s = 1; s < states.size(); ++s) {
      for (int i = 0; i < 20; ++i) ExpectEither(Mixed(states[s - 1], states[s]), before, after);
    }
  }

  TempDir dir_;
  fs::path archive_ = dir_ / "m.qstore";
  std::mt19937 random_{5};
};

TEST_F(Crash, LeavesTheOldArchiveOrTheNewOne) {
  PackAndOpen(Sources({"high"}), archive_);
  const auto add = [&](const Names& names) {
    return [this, names] { return Add(archive_, Sources(names)).status(); };
  };
  const auto drop = [&](const Names& names) {
    return [this, names] { return Drop(archive_, names).status(); };
  };
  Check({"high"}, {"high", "low"}, add({"low"}));
  Check({"high", "low"}, {"high", "low", "other"}, add({"other"}));
  Check({"high", "low", "other"}, {"low", "other"}, drop({"high"}));
  Check({"low", "other"}, {"low"}, drop({"other"}));
  Check({"low"}, {"low", "high"}, add({"high"}));
}

// After an error the file is what it was, byte for byte, unless it has a root more that says so.
TEST_F(Crash, ASyncThatFailsLeavesTheOldArchive) {
  for (const bool has_roots : {false, true}) {
    for (int sync = 1; sync <= (has_roots ? 2 : 3); ++sync) {
      PackAndOpen(Sources({"high", "other"}), archive_);
      if (has_roots) {
        ASSERT_TRUE(Drop(archive_, Names{"other"}, {false}).ok());
      }
      const std::string before = ReadFile(archive_);
      on_sync = [] {};
      syncs_until_failure = sync;
      const Status status = Add(archive_, Sources({"low"})).status();
      EXPECT_EQ(syncs_until_failure, 0);
      TearDown();
      EXPECT_EQ(status.code(), ErrorCode::kIo);
      EXPECT_NE(status.message().find("m.qstore"), std::string::npos);
      EXPECT_EQ(ReadFile(archive_), before) << sync;
    }
  }
}

}  // namespace
}  // namespace qstore
