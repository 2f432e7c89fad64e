// SPDX-License-Identifier: Apache-2.0
#include "io/growing_file.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;
namespace fs = std::filesystem;

TEST(GrowingFile, AppendsOverwritesAndCuts) {
  const TempDir dir;
  WriteFile(dir / "f", "header and garbage");
  {
    auto file = GrowingFile::Open(dir / "f");
    ASSERT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_EQ((*file)->size(), 18u);
    ASSERT_TRUE((*file)->Truncate(6).ok());
    const std::string large(200'000, 'x');
    ASSERT_TRUE((*file)->writer().Append(Bytes(large)).ok());
    ASSERT_TRUE((*file)->writer().Append(Bytes("end")).ok());
    ASSERT_TRUE((*file)->writer().Flush().ok());
    EXPECT_EQ((*file)->writer().size(), 200'009u);
    ASSERT_TRUE((*file)->Overwrite(0, Bytes("HE")).ok());
    EXPECT_TRUE((*file)->Sync().ok());
    EXPECT_EQ(ReadFile(dir / "f"), "HEader" + large + "end");
    std::string read(4, ' ');
    ASSERT_TRUE((*file)->Read(2, std::as_writable_bytes(std::span(read))).ok());
    EXPECT_EQ(read, "ader");
    EXPECT_EQ((*file)->Read(16, std::as_writable_bytes(std::span(read))).code(),
              ErrorCode::kInvalidArgument);
    ASSERT_TRUE((*file)->Truncate(6).ok());
  }
  EXPECT_EQ(ReadFile(dir / "f"), "HEader");
}

TEST(GrowingFile, OpensRegularFilesOnly) {
  const TempDir dir;
  EXPECT_EQ(GrowingFile::Open(dir / "none").status().code(), ErrorCode::kNotFound);
  EXPECT_EQ(GrowingFile::Open(dir.path()).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_EQ(GrowingFile::Open("/dev/null").status().code(), ErrorCode::kInvalidArgument);
  WriteFile(dir / "f", "text");
  fs::create_symlink("f", dir / "link");
  EXPECT_TRUE(GrowingFile::Open(dir / "link").ok());
}

TEST(GrowingFile, OneWriterAtATime) {
  const TempDir dir;
  WriteFile(dir / "f", "text");
  auto first = GrowingFile::Open(dir / "f");
  ASSERT_TRUE(first.ok());
  const auto refused = GrowingFile::Open(dir / "f");
  EXPECT_EQ(refused.status().code(), ErrorCode::kIo);
  EXPECT_NE(refused.status().message().find("another process"), std::string::npos);
  // One that waits has it as soon as the first is gone, and sees what that one wrote.
  std::thread other([&] {
    const auto second = GrowingFile::Open(dir / "f");
    ASSERT_TRUE(second.ok()) << second.status().ToString();
    EXPECT_EQ((*second)->size(), 9u);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  ASSERT_TRUE((*first)->Truncate(4).ok());
  ASSERT_TRUE((*first)->writer().Append(Bytes(" more")).ok());
  ASSERT_TRUE((*first)->writer().Flush().ok());
  first->reset();
  other.join();
}

// As a compaction puts one there.
TEST(GrowingFile, AFileThatTookItsPlaceIsTheOneThatIsOpened) {
  const TempDir dir;
  WriteFile(dir / "f", "old");
  auto first = GrowingFile::Open(dir / "f");
  ASSERT_TRUE(first.ok());
  std::thread other([&] {
    const auto second = GrowingFile::Open(dir / "f");
    ASSERT_TRUE(second.ok()) << second.status().ToString();
    EXPECT_EQ((*second)->size(), 7u);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  WriteFile(dir / "new", "renamed");
  fs::rename(dir / "new", dir / "f");
  first->reset();
  other.join();
}

}  // namespace
}  // namespace qstore::io
