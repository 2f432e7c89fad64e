// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;
namespace fs = std::filesystem;

TEST(Directory, GoesDownByPlainNamesOnly) {
  TempDir dir;
  WriteFile(dir / "root/a/b/file", "text");
  fs::create_directory_symlink("b", dir / "root/a/link");
  fs::create_directory_symlink(dir / "root", dir / "to-root");
  const auto root = Directory::Open(dir / "to-root");
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(root->Below("a/b")->List().value(), std::vector<std::string>{"file"});
  EXPECT_EQ(root->Below("")->List().value(), std::vector<std::string>{"a"});
  EXPECT_EQ(root->Below("a/none").status().code(), ErrorCode::kNotFound);
  for (const char* path : {"a/link", "a/link/x", "..", "a/../a", ".", "/a", "a//b", "a/b/file"}) {
    EXPECT_EQ(root->Below(path).status().code(), ErrorCode::kInvalidArgument) << path;
    std::vector<std::string> made;
    EXPECT_EQ(root->MakeBelow(path, &made).status().code(), ErrorCode::kInvalidArgument) << path;
    EXPECT_TRUE(made.empty());
  }
  const std::string message = root->Below("a/link").status().message();
  EXPECT_NE(message.find("to-root/a/link: is a symbolic link"), std::string::npos) << message;
}

TEST(Directory, MakesWhatIsMissing) {
  TempDir dir;
  fs::create_directories(dir / "a");
  fs::create_symlink(dir / "nowhere", dir / "a/dangling");
  const auto root = Directory::Open(dir.path());
  std::vector<std::string> made;
  ASSERT_TRUE(root->MakeBelow("a/b/c", &made).ok());
  EXPECT_EQ(made, (std::vector<std::string>{"a/b", "a/b/c"}));
  made.clear();
  EXPECT_EQ(root->MakeBelow("a/dangling", &made).status().code(), ErrorCode::kInvalidArgument);
  EXPECT_FALSE(fs::exists(dir / "nowhere"));
  EXPECT_TRUE(made.empty());
}

TEST(Directory, StaysWhenItsPathLeadsElsewhere) {
  TempDir dir;
  fs::create_directories(dir / "real");
  fs::create_directories(dir / "outside");
  const auto opened = Directory::Open(dir / "real");
  fs::rename(dir / "real", dir / "moved");
  fs::create_directory_symlink("outside", dir / "real");
  std::vector<std::string> made;
  ASSERT_TRUE(opened->MakeBelow("sub", &made).ok());
  EXPECT_TRUE(fs::exists(dir / "moved/sub"));
  EXPECT_TRUE(fs::is_empty(dir / "outside"));
}

TEST(Directory, RenamesOnlyToAFreeName) {
  TempDir dir;
  WriteFile(dir / "a", "a");
  WriteFile(dir / "b", "b");
  const auto root = Directory::Open(dir.path());
  EXPECT_EQ(RenameNoReplace(root->fd(), "a", root->fd(), "b"), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(RenameNoReplace(root->fd(), "a", root->fd(), "c"), 0);
  EXPECT_EQ(ReadFile(dir / "b"), "b");
  EXPECT_EQ(ReadFile(dir / "c"), "a");
}

TEST(Directory, FindsWhatLiesBelowAsBelowDoes) {
  TempDir dir;
  WriteFile(dir / "a/b/file", "text");
  fs::create_directory_symlink("b", dir / "a/link");
  const auto root = Directory::Open(dir.path());
  ASSERT_TRUE(root.ok());
  EXPECT_EQ(::unlinkat(root->Find("a/b").get(), "file", 0), 0);
  EXPECT_TRUE(root->Find("").ok());
  EXPECT_TRUE(root->Find("a").ok());
  const std::string long_name(300, 'x');
  for (const char* path :
       {"a/none", "a/link", "a/link/x", "..", "a/../a", ".", "/a", "a//b", long_name.c_str()}) {
    EXPECT_FALSE(root->Find(path).ok()) << path;
    EXPECT_NE(errno, 0);
  }
}

TEST(Directory, ListsMoreNamesThanOneCallGives) {
  TempDir dir;
  std::vector<std::string> names;
  for (int i = 0; i < 500; ++i) {
    names.push_back(std::to_string(i) + std::string(static_cast<size_t>(i % 100), 'x'));
    WriteFile(dir / names.back(), "");
  }
  auto listed = Directory::Open(dir.path())->List();
  ASSERT_TRUE(listed.ok());
  std::sort(listed->begin(), listed->end());
  std::sort(names.begin(), names.end());
  EXPECT_EQ(*listed, names);
}

TEST(Directory, RemovesAllThatANameHolds) {
  TempDir dir;
  WriteFile(dir / "file", "text");
  WriteFile(dir / "outside/file", "mine");
  fs::create_directory_symlink("outside", dir / "link");
  for (int i = 0; i < 300; ++i) WriteFile(dir / "tree/sub/deep" / std::to_string(i), "text");
  fs::create_directory_symlink(dir / "outside", dir / "tree/sub/link");
  const auto root = Directory::Open(dir.path());
  for (const char* name : {"file", "link", "tree", "tree", "none/below"}) {
    EXPECT_EQ(RemoveAll(root->fd(), name), 0) << name;
    EXPECT_FALSE(fs::exists(fs::symlink_status(dir / name))) << name;
  }
  EXPECT_EQ(root->List().value(), std::vector<std::string>{"outside"});
  EXPECT_EQ(ReadFile(dir / "outside/file"), "mine");
  EXPECT_EQ(RemoveAll(root->fd(), "outside/file/below"), ENOTDIR);
}

}  // namespace
}  // namespace qstore::io
