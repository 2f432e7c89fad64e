// SPDX-License-Identifier: Apache-2.0
#include "io/file.h"
#include "io/output_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <thread>

#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;

namespace fs = std::filesystem;

TEST(SourceFile, ReadsAnyRangeAndNothingOutside) {
  TempDir dir;
  WriteFile(dir / "f", "0123456789");
  auto file = SourceFile::Open(dir / "f");
  ASSERT_TRUE(file.ok());
  EXPECT_EQ((*file)->size(), 10u);
  std::string out(4, '\0');
  ASSERT_TRUE((*file)->Read(3, std::as_writable_bytes(std::span(out))).ok());
  EXPECT_EQ(out, "3456");
  EXPECT_TRUE((*file)->Read(10, {}).ok());
  EXPECT_EQ((*file)->Read(7, std::as_writable_bytes(std::span(out))).code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ((*file)->Read(~uint64_t{0}, std::as_writable_bytes(std::span(out))).code(),
            ErrorCode::kInvalidArgument);
}

TEST(SourceFile, OpensRegularFilesOnly) {
  TempDir dir;
  EXPECT_EQ(SourceFile::Open(dir / "absent").status().code(), ErrorCode::kNotFound);
  EXPECT_EQ(SourceFile::Open(dir.path()).status().code(), ErrorCode::kInvalidArgument);
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(SourceFile::Open(dir / "pipe").status().code(), ErrorCode::kInvalidArgument);
}

TEST(SourceFile, NoticesEveryKindOfChange) {
  TempDir dir;
  WriteFile(dir / "f", "0123456789");
  auto open = [&] { return SourceFile::Open(dir / "f").value(); };

  auto file = open();
  EXPECT_TRUE(file->CheckUnchanged().ok());
  WriteFile(dir / "f", "01234");
  EXPECT_EQ(file->CheckUnchanged().code(), ErrorCode::kSourceChanged);
  std::string out(10, '\0');
  EXPECT_EQ(file->Read(0, std::as_writable_bytes(std::span(out))).code(),
            ErrorCode::kSourceChanged);

  file = open();
  fs::last_write_time(dir / "f", fs::last_write_time(dir / "f") + std::chrono::seconds(1));
  EXPECT_EQ(file->CheckUnchanged().code(), ErrorCode::kSourceChanged);

  file = open();
  WriteFile(dir / "g", "43210");
  fs::last_write_time(dir / "g", fs::last_write_time(dir / "f"));
  fs::rename(dir / "g", dir / "f");
  EXPECT_EQ(file->CheckUnchanged().code(), ErrorCode::kSourceChanged);

  file = open();
  fs::remove(dir / "f");
  EXPECT_EQ(file->CheckUnchanged().code(), ErrorCode::kSourceChanged);
}

TEST(SourceFile, OnDemandFewAreOpenAndNoneChangesUnnoticed) {
  TempDir dir;
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit small { 40, before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
  std::vector<std::shared_ptr<const SourceFile>> files;
  for (int i = 0; i < 100; ++i) {
    WriteFile(dir / std::to_string(i), std::to_string(1000 + i));
    auto file = SourceFile::OpenOnDemand(dir / std::to_string(i));
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    if (file.ok()) files.push_back(*file);
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < files.size(); ++i) {
        std::string out(4, '\0');
        EXPECT_TRUE(files[i]->Read(0, std::as_writable_bytes(std::span(out))).ok());
        EXPECT_EQ(out, std::to_string(1000 + i));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  WriteFile(dir / "0", "four");
  fs::remove(dir / "1");
  fs::rename(dir / "99", dir / "2");
  std::string out(4, '\0');
  for (const size_t i : {0, 1, 2}) {
    EXPECT_EQ(files[i]->Read(0, std::as_writable_bytes(std::span(out))).code(),
              ErrorCode::kSourceChanged);
    EXPECT_EQ(files[i]->CheckUnchanged().code(), ErrorCode::kSourceChanged);
  }
}

TEST(ReadSmallFile, WholeContentUpToTheLimit) {
  TempDir dir;
  WriteFile(dir / "f", "text");
  EXPECT_EQ(ReadSmallFile(dir / "f", 4).value(), "text");
  EXPECT_EQ(ReadSmallFile(dir / "f", 3).status().code(), ErrorCode::kLimit);
}

TEST(OutputFile, AppearsOnlyWhenCommitted) {
  TempDir dir;
  auto file = OutputFile::Create(dir / "f", {});
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(Bytes("hello ")).ok());
  ASSERT_TRUE((*file)->Append(Bytes("world")).ok());
  ASSERT_TRUE((*file)->WriteAt(11, Bytes("!")).ok());
  EXPECT_EQ((*file)->WriteAt(10, Bytes("!")).code(), ErrorCode::kInternal);
  EXPECT_EQ((*file)->size(), 11u);
  ASSERT_TRUE((*file)->Finish().ok());
  EXPECT_FALSE(fs::exists(dir / "f"));
  EXPECT_FALSE((*file)->Append(Bytes("x")).ok());
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(ReadFile(dir / "f"), "hello world!");
  file->reset();
  EXPECT_EQ(EntryCount(dir.path()), 1u);
}

TEST(OutputFile, AppendsManyPieces) {
  TempDir dir;
  auto file = OutputFile::Create(dir / "out", {});
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(Bytes("begin")).ok());
  std::string expected = "begin";
  std::vector<std::span<const std::byte>> pieces;
  std::vector<std::string> texts;
  for (int i = 0; i < 200; ++i) texts.push_back(std::string(static_cast<size_t>(i % 7), 'a'));
  for (const std::string& text : texts) {
    pieces.push_back(Bytes(text));
    expected += text;
  }
  ASSERT_TRUE((*file)->writer().AppendAll(pieces).ok());
  ASSERT_TRUE((*file)->writer().AppendAll({}).ok());
  EXPECT_EQ((*file)->size(), expected.size());
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(ReadFile(dir / "out"), expected);
  EXPECT_FALSE((*file)->writer().AppendAll(pieces).ok());
}

TEST(OutputFile, AppendsAcrossBlocks) {
  TempDir dir;
  auto file = OutputFile::Create(dir / "out", {});
  ASSERT_TRUE(file.ok());
  std::string expected;
  for (const size_t size : {1, 65534, 1, 65536, 131072, 3, 0, 65533, 200000, 5, 70000, 1, 2}) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>((expected.size() + i) * 31 >> 3);
    const std::span<const std::byte> bytes = Bytes(text);
    const std::vector<std::span<const std::byte>> halves = {bytes.first(size / 2),
                                                            bytes.subspan(size / 2)};
    ASSERT_TRUE((*file)->writer().AppendAll(halves).ok());
    expected += text;
    EXPECT_EQ((*file)->size(), expected.size());
  }
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(ReadFile(dir / "out"), expected);
}

TEST(OutputFile, LeavesNothingWhenDropped) {
  TempDir dir;
  auto first = OutputFile::Create(dir / "a/b/f", {});
  auto second = OutputFile::Create(dir / "a/b/c/g", {});
  ASSERT_TRUE(first.ok() && second.ok());
  ASSERT_TRUE((*first)->Append(Bytes("x")).ok());
  first->reset();
  EXPECT_TRUE(fs::exists(dir / "a/b/c"));
  second->reset();
  EXPECT_EQ(EntryCount(dir.path()), 0u);
}

TEST(OutputFile, KeepsDirectoriesThatHoldSomething) {
  TempDir dir;
  fs::create_directories(dir / "old");
  auto kept = OutputFile::Create(dir / "new/f", {});
  auto dropped = OutputFile::Create(dir / "new/sub/g", {});
  auto beside = OutputFile::Create(dir / "old/h", {});
  ASSERT_TRUE(kept.ok() && dropped.ok() && beside.ok());
  ASSERT_TRUE((*kept)->Commit().ok());
  kept->reset();
  dropped->reset();
  beside->reset();
  EXPECT_TRUE(fs::exists(dir / "new/f"));
  EXPECT_FALSE(fs::exists(dir / "new/sub"));
  EXPECT_TRUE(fs::exists(dir / "old"));
}

TEST(OutputFile, DirectoriesAreSharedAmongThreads) {
  TempDir dir;
  auto work = [&](int thread) {
    for (int i = 0; i < 200; ++i) {
      auto file = OutputFile::Create(dir / ("d/e/" + std::to_string(thread)), {});
      EXPECT_TRUE(file.ok()) << file.status().ToString();
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back(work, t);
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(EntryCount(dir.path()), 0u);
}

TEST(OutputFile, OverwritesOnlyWhenAllowed) {
  TempDir dir;
  WriteFile(dir / "f", "old");
  EXPECT_EQ(OutputFile::Create(dir / "f", {}).status().code(), ErrorCode::kAlreadyExists);
  auto file = OutputFile::Create(dir / "f", {.overwrite = true});
  ASSERT_TRUE(file.ok());
  ASSERT_TRUE((*file)->Append(Bytes("new")).ok());
  EXPECT_EQ(ReadFile(dir / "f"), "old");
  ASSERT_TRUE((*file)->Commit().ok());
  EXPECT_EQ(ReadFile(dir / "f"), "new");
  EXPECT_EQ(OutputFile::Create(dir.path(), {.overwrite = true}).status().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_FALSE(OutputFile::Create(dir / "f/below", {}).ok());
}

TEST(OutputFile, ReplacesRegularFilesAndLinksToThemOnly) {
  TempDir dir;
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  fs::create_symlink("pipe", dir / "to-pipe");
  fs::create_symlink("/dev/null", dir / "to-device");
  for (const char* name : {"pipe", "to-pipe", "to-device"}) {
    const auto file = OutputFile::Create(dir / name, {.overwrite = true});
    EXPECT_EQ(file.status().code(), ErrorCode::kInvalidArgument) << name;
  }
  auto late = OutputFile::Create(dir / "late", {.overwrite = true});
  ASSERT_TRUE(late.ok());
  ASSERT_EQ(::mkfifo((dir / "late").c_str(), 0600), 0);
  EXPECT_EQ((*late)->Commit().code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(fs::is_fifo(dir / "late"));
  WriteFile(dir / "target", "target");
  fs::create_symlink("target", dir / "to-file");
  fs::create_symlink("nowhere", dir / "dangling");
  for (const char* name : {"to-file", "dangling"}) {
    auto file = OutputFile::Create(dir / name, {.overwrite = true});
    ASSERT_TRUE(file.ok()) << name;
    EXPECT_TRUE((*file)->Commit().ok());
    EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(dir / name)));
  }
  EXPECT_EQ(ReadFile(dir / "target"), "target");
}

TEST(OutputFile, DoesNotReplaceWhatAppearsMeanwhile) {
  TempDir dir;
  auto file = OutputFile::Create(dir / "f", {});
  ASSERT_TRUE(file.ok());
  WriteFile(dir / "f", "other");
  EXPECT_EQ((*file)->Commit().code(), ErrorCode::kAlreadyExists);
  file->reset();
  EXPECT_EQ(ReadFile(dir / "f"), "other");
  EXPECT_EQ(EntryCount(dir.path()), 1u);
}

// A limit on file sizes stands in for a full disk: the write fails in the same place.
TEST(OutputFile, AFailedWriteNamesTheFileAndLeavesNothing) {
  TempDir dir;
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  const struct rlimit small { 4096, before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  auto file = OutputFile::Create(dir / "sub/f", {});
  ASSERT_TRUE(file.ok());
  const Status status = (*file)->Append(Bytes(std::string(200000, 'x')));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), ErrorCode::kIo);
  EXPECT_NE(status.message().find((dir / "sub/f").string()), std::string::npos);
  file->reset();
  EXPECT_EQ(EntryCount(dir.path()), 0u);
}

TEST(OutputFile, TheLongestNameADirectoryTakes) {
  TempDir dir;
  const std::string name(255, 'n');
  auto file = OutputFile::Create(dir / name, {});
  ASSERT_TRUE(file.ok()) << file.status().ToString();
  EXPECT_TRUE((*file)->Commit().ok());
  EXPECT_TRUE(fs::exists(dir / name));
}

}  // namespace
}  // namespace qstore::io
