// SPDX-License-Identifier: Apache-2.0
#include "io/output_tree.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;
namespace fs = std::filesystem;

TEST(OutputTree, FilesAppearTogether) {
  TempDir dir;
  auto tree = OutputTree::Create(dir / "out", {});
  ASSERT_TRUE(tree.ok());
  for (const char* name : {"a", "sub/b"}) {
    auto file = tree->Add(name);
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE((*file)->Append(Bytes(name)).ok());
    ASSERT_TRUE((*file)->Finish().ok());
  }
  EXPECT_FALSE(fs::exists(dir / "out/a"));
  ASSERT_TRUE(tree->Commit().ok());
  EXPECT_EQ(ReadFile(dir / "out/a"), "a");
  EXPECT_EQ(ReadFile(dir / "out/sub/b"), "sub/b");
}

TEST(OutputTree, DroppedItLeavesNothing) {
  TempDir dir;
  {
    auto tree = OutputTree::Create(dir / "out/deep", {});
    ASSERT_TRUE(tree.ok());
    ASSERT_TRUE(tree->Add("a").ok());
    ASSERT_TRUE(tree->Add("sub/b").ok());
  }
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(OutputTree, ANewDirectoryAppearsAsAWhole) {
  TempDir dir;
  {
    auto tree = OutputTree::Create(dir / "new/out/", {});
    ASSERT_TRUE(tree.ok());
    auto file = tree->Add("sub/a");
    ASSERT_TRUE(file.ok());
    EXPECT_EQ((*file)->path(), dir / "new/out/sub/a");
    EXPECT_FALSE(fs::exists(dir / "new"));
    ASSERT_TRUE(tree->Commit().ok());
  }
  EXPECT_EQ(ReadFile(dir / "new/out/sub/a"), "");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 1);
  {
    auto tree = OutputTree::Create(dir / "other/out", {});
    ASSERT_TRUE(tree.ok());
    ASSERT_TRUE(tree->Add("a").ok());
    WriteFile(dir / "other/out", "a file that appeared meanwhile");
    EXPECT_EQ(tree->Commit().code(), ErrorCode::kAlreadyExists);
  }
  {
    auto tree = OutputTree::Create(dir / "other/file/out", {});
    ASSERT_TRUE(tree.ok());
    ASSERT_TRUE(tree->Add("a").ok());
    WriteFile(dir / "other/file", "where a directory must be");
    EXPECT_FALSE(tree->Commit().ok());
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "other"), fs::directory_iterator()), 2);
  EXPECT_EQ(std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()), 2);
}

TEST(OutputTree, AFailureHalfwayPutsBackWhatWasReplaced) {
  TempDir dir;
  WriteFile(dir / "out/a", "old a");
  WriteFile(dir / "out/b", "old b");
  fs::create_symlink("b", dir / "out/link");
  for (const bool fails : {true, false}) {
    auto tree = OutputTree::Create(dir / "out", {.overwrite = true});
    ASSERT_TRUE(tree.ok());
    for (const char* name : {"a", "link", "new", "sub/new", "z"}) ASSERT_TRUE(tree->Add(name).ok());
    if (fails) {
      fs::create_directories(dir / "out/z");
      EXPECT_EQ(tree->Commit().code(), ErrorCode::kInvalidArgument);
      fs::remove(dir / "out/z");
      EXPECT_EQ(ReadFile(dir / "out/a"), "old a");
      EXPECT_TRUE(fs::is_symlink(dir / "out/link"));
      EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), fs::directory_iterator()), 3);
    } else {
      ASSERT_TRUE(tree->Commit().ok());
      EXPECT_EQ(ReadFile(dir / "out/a"), "");
      EXPECT_FALSE(fs::is_symlink(dir / "out/link"));
      EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), fs::directory_iterator()), 6);
    }
    EXPECT_EQ(ReadFile(dir / "out/b"), "old b");
  }
}

TEST(OutputTree, RemovesWithTheCommitOrNotAtAll) {
  TempDir dir;
  WriteFile(dir / "out/old", "old");
  WriteFile(dir / "out/file", "");
  for (const bool fails : {true, false}) {
    auto tree = OutputTree::Create(dir / "out", {.overwrite = true});
    ASSERT_TRUE(tree.ok());
    ASSERT_TRUE(tree->Add("new").ok());
    tree->Remove("old");
    tree->Remove("never was");
    if (fails) tree->Remove("file/below");  // Cannot be: "file" is no directory.
    EXPECT_EQ(tree->Commit().ok(), !fails);
    EXPECT_EQ(fs::exists(dir / "out/old"), fails);
    EXPECT_EQ(fs::exists(dir / "out/new"), !fails);
    EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), fs::directory_iterator()), 2);
  }
}

TEST(OutputTree, AFailureHalfwayRemovesWhatAppeared) {
  TempDir dir;
  fs::create_directories(dir / "out");
  {
    auto tree = OutputTree::Create(dir / "out", {});
    ASSERT_TRUE(tree.ok());
    for (const char* name : {"a", "b", "c"}) ASSERT_TRUE(tree->Add(name).ok());
    WriteFile(dir / "out/b", "appeared meanwhile");
    EXPECT_EQ(tree->Commit().code(), ErrorCode::kAlreadyExists);
  }
  EXPECT_FALSE(fs::exists(dir / "out/a"));
  EXPECT_FALSE(fs::exists(dir / "out/c"));
  EXPECT_EQ(ReadFile(dir / "out/b"), "appeared meanwhile");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), fs::directory_iterator()), 1);
}

TEST(OutputTree, OnlyIntoEmptyDirectoriesUnlessAllowed) {
  TempDir dir;
  fs::create_directories(dir / "empty");
  EXPECT_TRUE(OutputTree::Create(dir / "empty", {}).ok());
  WriteFile(dir / "full/a", "old");
  WriteFile(dir / "full/b", "other");
  EXPECT_EQ(OutputTree::Create(dir / "full", {}).status().code(), ErrorCode::kAlreadyExists);
  EXPECT_EQ(OutputTree::Create(dir / "full/a", {}).status().code(), ErrorCode::kInvalidArgument);
  auto tree = OutputTree::Create(dir / "full", {.overwrite = true});
  ASSERT_TRUE(tree.ok());
  ASSERT_TRUE(tree->Add("a").ok());
  ASSERT_TRUE(tree->Commit().ok());
  EXPECT_EQ(ReadFile(dir / "full/a"), "");
  EXPECT_EQ(ReadFile(dir / "full/b"), "other");
}

TEST(OutputTree, LinksLeadToItButNoneOutOfIt) {
  TempDir dir;
  WriteFile(dir / "real/mine", "");
  WriteFile(dir / "outside/file", "outside");
  fs::create_directory_symlink("real", dir / "out");
  fs::create_directory_symlink("../outside", dir / "real/link");
  fs::create_directory_symlink("../nowhere", dir / "real/dangling");
  {
    auto tree = OutputTree::Create(dir / "out", {.overwrite = true});
    ASSERT_TRUE(tree.ok());
    for (const char* path : {"link/file", "link/new/file", "dangling/file"}) {
      const Status status = tree->Add(path).status();
      EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument) << path;
      EXPECT_NE(status.message().find("symbolic link"), std::string::npos) << status.message();
    }
    for (const char* path : {"../outside/file", "..", "a/../../outside/x"}) {
      EXPECT_FALSE(tree->Add(path).ok()) << path;
    }
    ASSERT_TRUE(tree->Add("sub/file").ok());
    ASSERT_TRUE(tree->Commit().ok());
  }
  EXPECT_TRUE(fs::exists(dir / "real/sub/file"));
  {
    auto tree = OutputTree::Create(dir / "out", {.overwrite = true});
    ASSERT_TRUE(tree.ok());
    tree->Remove("link/file");
    EXPECT_EQ(tree->Commit().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(ReadFile(dir / "outside/file"), "outside");
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "outside"), fs::directory_iterator()), 1);
}

TEST(OutputTree, ALinkThatAppearsMeanwhileIsNotFollowed) {
  TempDir dir;
  WriteFile(dir / "outside/file", "outside");
  WriteFile(dir / "out/sub/file", "old");
  {
    auto tree = OutputTree::Create(dir / "out", {.overwrite = true});
    ASSERT_TRUE(tree.ok());
    for (const char* path : {"a", "sub/file"}) ASSERT_TRUE(tree->Add(path).ok());
    fs::rename(dir / "out/sub", dir / "moved");
    fs::create_directory_symlink("../outside", dir / "out/sub");
    EXPECT_EQ(tree->Commit().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "out"), fs::directory_iterator()), 1);
  EXPECT_EQ(ReadFile(dir / "outside/file"), "outside");
  EXPECT_EQ(ReadFile(dir / "moved/file"), "old");
  {
    auto tree = OutputTree::Create(dir / "new/out", {});
    ASSERT_TRUE(tree.ok());
    ASSERT_TRUE(tree->Add("a").ok());
    fs::create_directory_symlink("outside", dir / "new");
    EXPECT_EQ(tree->Commit().code(), ErrorCode::kInvalidArgument);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(dir / "outside"), fs::directory_iterator()), 1);
}

TEST(OutputTree, NeedsFewDescriptorsForManyDirectories) {
  TempDir dir;
  WriteFile(dir / "out/0/file", "old");
  struct rlimit before;
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const struct rlimit small { 40, before.rlim_max };
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &small), 0);
  auto tree = OutputTree::Create(dir / "out", {.overwrite = true, .sync = false});
  EXPECT_TRUE(tree.ok());
  for (int i = 0; i < 100; ++i) {
    auto file = tree->Add(std::to_string(i) + "/file");
    EXPECT_TRUE(file.ok()) << file.status().ToString();
    EXPECT_TRUE((*file)->Finish().ok());
  }
  EXPECT_TRUE(tree->Commit().ok());
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(ReadFile(dir / "out/0/file"), "");
  EXPECT_TRUE(fs::exists(dir / "out/99/file"));
}

}  // namespace
}  // namespace qstore::io
