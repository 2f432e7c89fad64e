// SPDX-License-Identifier: Apache-2.0
#include "io/directory.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(RenameNoReplace(*root, "a", *root, "b"), -1);
  EXPECT_EQ(errno, EEXIST);
  EXPECT_EQ(RenameNoReplace(*root, "a", *root, "c"), 0);
  EXPECT_EQ(ReadFile(dir / "b"), "b");
  EXPECT_EQ(ReadFile(dir / "c"), "a");
}

}  // namespace
}  // namespace qstore::io
