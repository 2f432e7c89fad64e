// SPDX-License-Identifier: Apache-2.0
#include "io/model_tree.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/test_files.h"

namespace qstore::io {
namespace {

using namespace testing;

namespace fs = std::filesystem;

std::vector<std::string> Paths(const Result<std::vector<ModelFile>>& files) {
  EXPECT_TRUE(files.ok()) << files.status().ToString();
  std::vector<std::string> paths;
  if (files.ok()) {
    for (const ModelFile& file : *files) paths.push_back(file.path);
  }
  return paths;
}

void ExpectError(const Result<std::vector<ModelFile>>& files, ErrorCode code,
                 const std::string& named) {
  ASSERT_FALSE(files.ok());
  EXPECT_EQ(files.status().code(), code) << files.status().ToString();
  EXPECT_NE(files.status().message().find(named), std::string::npos) << files.status().ToString();
}

// The superuser may read everything.
Result<std::vector<ModelFile>> ListAsOrdinaryUser(const fs::path& path) {
  const bool superuser = ::geteuid() == 0;
  EXPECT_TRUE(!superuser || ::seteuid(65534) == 0);
  auto files = ListModelFiles(path);
  EXPECT_TRUE(!superuser || ::seteuid(0) == 0);
  return files;
}

TEST(ModelTree, ListsEveryFileSorted) {
  TempDir dir;
  for (const char* name : {"model.safetensors", "config.json", "sub/deep/x", "sub/.hidden", "sub-a",
                           ".gitattributes", "empty"}) {
    WriteFile(dir / name, name == std::string("empty") ? "" : "x");
  }
  fs::create_directories(dir / "nothing/in/here");
  auto files = ListModelFiles(dir.path());
  EXPECT_EQ(Paths(files),
            (std::vector<std::string>{".gitattributes", "config.json", "empty", "model.safetensors",
                                      "nothing/in/here", "sub-a", "sub/.hidden", "sub/deep/x"}));
  for (const ModelFile& file : *files) EXPECT_EQ(file.source, dir.path() / file.path);
}

TEST(ModelTree, OneFileIsListedByItsName) {
  TempDir dir;
  WriteFile(dir / "a/m.safetensors", "x");
  EXPECT_EQ(Paths(ListModelFiles(dir / "a/m.safetensors")),
            std::vector<std::string>{"m.safetensors"});
}

TEST(ModelTree, FollowsLinksAsHubCachesUseThem) {
  TempDir dir;
  WriteFile(dir / "models--x/blobs/0123", "weights");
  WriteFile(dir / "models--x/blobs/4567", "{}");
  const fs::path snapshot = dir / "models--x/snapshots/abc";
  fs::create_directories(snapshot / "sub");
  fs::create_symlink("../../blobs/0123", snapshot / "model.safetensors");
  fs::create_symlink("../../../blobs/4567", snapshot / "sub/config.json");
  fs::create_symlink("sub", snapshot / "twice");
  fs::create_symlink("models--x/snapshots/abc", dir / "main");
  EXPECT_EQ(
      Paths(ListModelFiles(dir / "main")),
      (std::vector<std::string>{"model.safetensors", "sub/config.json", "twice/config.json"}));
}

TEST(ModelTree, LinkCyclesAndBrokenLinks) {
  TempDir dir;
  WriteFile(dir / "a/f", "x");
  fs::create_symlink("..", dir / "a/up");
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kInvalidArgument, "cycle");
  fs::remove(dir / "a/up");
  fs::create_symlink("self", dir / "a/self");
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kInvalidArgument, "a/self");
  fs::remove(dir / "a/self");
  fs::create_symlink("absent", dir / "a/broken");
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kNotFound, "a/broken");
}

TEST(ModelTree, ListsTheGivenPathsAlone) {
  TempDir dir;
  for (const char* name : {"a", "b", "sub/c", "sub/deep/d"}) WriteFile(dir / name, "x");
  fs::create_directories(dir / "none/inner");
  fs::create_symlink("absent", dir / "broken");
  const auto listed = [&](const std::vector<std::string>& paths) {
    return ListModelFiles(dir.path(), paths);
  };
  EXPECT_EQ(Paths(listed({"sub", "b"})), (std::vector<std::string>{"b", "sub/c", "sub/deep/d"}));
  EXPECT_EQ(Paths(listed({"none"})), std::vector<std::string>{"none/inner"});
  EXPECT_EQ(listed({"sub/c"})->front().source, dir / "sub/c");
  ExpectError(listed({"a", "a"}), ErrorCode::kInvalidArgument, "given twice");
  ExpectError(listed({"sub/deep", "sub"}), ErrorCode::kInvalidArgument, "sub/deep/d");
  ExpectError(listed({"a", "absent"}), ErrorCode::kNotFound, "absent");
  ExpectError(listed({"broken"}), ErrorCode::kNotFound, "broken");
}

TEST(ModelTree, NothingToStore) {
  TempDir dir;
  ExpectError(ListModelFiles(dir / "absent"), ErrorCode::kNotFound, "absent");
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kInvalidArgument, dir.path().string());
  fs::create_directories(dir / "only/folders");
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kInvalidArgument, dir.path().string());
}

TEST(ModelTree, PipesAreNoFiles) {
  TempDir dir;
  WriteFile(dir / "f", "x");
  ASSERT_EQ(::mkfifo((dir / "pipe").c_str(), 0600), 0);
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kInvalidArgument, "pipe");
}

TEST(ModelTree, UnreadableFilesAndFolders) {
  TempDir dir;
  WriteFile(dir / "secret/f", "x");
  ASSERT_EQ(::chmod(dir.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod((dir / "secret/f").c_str(), 0), 0);
  const auto file = ListAsOrdinaryUser(dir.path());
  ExpectError(file, ErrorCode::kIo, "secret/f");

  ASSERT_EQ(::chmod((dir / "secret").c_str(), 0), 0);
  const auto folder = ListAsOrdinaryUser(dir.path());
  ExpectError(folder, ErrorCode::kIo, "secret");
  ASSERT_EQ(::chmod((dir / "secret").c_str(), 0755), 0);
}

TEST(ModelTree, ShardsOfAnIndexMustBeThere) {
  TempDir dir;
  const std::string index =
      R"({"metadata":{"total_size":1.0},"weight_map":{"a":"s1.safetensors","b":"s2.safetensors"}})";
  WriteFile(dir / "unet/model.safetensors.index.json", index);
  WriteFile(dir / "unet/s1.safetensors", "x");
  auto files = ListModelFiles(dir.path());
  ExpectError(files, ErrorCode::kNotFound, "unet/model.safetensors.index.json");
  ExpectError(files, ErrorCode::kNotFound, "s2.safetensors");
  ExpectError(files, ErrorCode::kNotFound, "'b'");
  WriteFile(dir / "unet/s2.safetensors", "x");
  EXPECT_EQ(Paths(ListModelFiles(dir.path())).size(), 3u);
  fs::rename(dir / "unet/s2.safetensors", dir / "s2.safetensors");
  ExpectError(ListModelFiles(dir.path()), ErrorCode::kNotFound, "s2.safetensors");
}

TEST(ModelTree, IndexesOfOtherKindsAreJustFiles) {
  TempDir dir;
  WriteFile(dir / "pytorch_model.bin.index.json", R"({"weight_map":{"a":"absent.bin"}})");
  WriteFile(dir / "model.safetensors.index.json", "not JSON");
  WriteFile(dir / "x.safetensors.index.json", R"({"weight_map":["absent"]})");
  WriteFile(dir / "y.safetensors.index.fp16.json", R"({"weight_map":{}})");
  EXPECT_EQ(Paths(ListModelFiles(dir.path())).size(), 4u);
}

}  // namespace
}  // namespace qstore::io
