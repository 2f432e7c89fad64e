// SPDX-License-Identifier: Apache-2.0
#include "qstore/unpack.h"

#include <gtest/gtest.h>

#include "qstore/verify.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

class Unpacking : public ::testing::Test {
 protected:
  Unpacking() {
    WritePair(dir_ / "high", dir_ / "low");
    options_.sync = false;
  }
  Archive Open() { return PackAndOpen(Pair(), dir_ / "m.qstore"); }
  std::vector<VariantSource> Pair() const {
    return {{"high", dir_ / "high"}, {"low", dir_ / "low"}};
  }
  TempDir dir_;
  UnpackOptions options_;
};

TEST_F(Unpacking, IntoNewNestedAndEmptyDirectories) {
  const Archive archive = Open();
  fs::create_directories(dir_ / "empty");
  for (const char* out : {"new", "a/b/c", "empty", "slash/"}) {
    const auto report = Unpack(archive, "high", dir_ / out, options_);
    ASSERT_TRUE(report.ok()) << report.status().ToString();
    EXPECT_EQ(report->files, 4u);
    EXPECT_TRUE(ReadTree(dir_ / out) == ReadTree(dir_ / "high")) << out;
  }
}

TEST_F(Unpacking, NothingIsReplacedUnlessForced) {
  const Archive archive = Open();
  WriteFile(dir_ / "out/config.json", "mine");
  WriteFile(dir_ / "out/other", "other");
  WriteFile(dir_ / "file", "x");
  EXPECT_EQ(Unpack(archive, "high", dir_ / "out", options_).status().code(),
            ErrorCode::kAlreadyExists);
  EXPECT_EQ(Unpack(archive, "high", dir_ / "file", options_).status().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadFile(dir_ / "out/config.json"), "mine");
  options_.overwrite = true;
  const auto report = Unpack(archive, "high", dir_ / "out", options_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  auto expected = ReadTree(dir_ / "high");
  expected["other"] = "other";
  EXPECT_TRUE(ReadTree(dir_ / "out") == expected);
}

TEST_F(Unpacking, FailedForcedUnpackReplacesNothing) {
  const Archive archive = Open();
  WriteFile(dir_ / "out/config.json", "mine");
  // A folder where a file must go.
  fs::create_directories(dir_ / "out/model.safetensors");
  options_.overwrite = true;
  EXPECT_EQ(Unpack(archive, "high", dir_ / "out", options_).status().code(),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(ReadTree(dir_ / "out"), (std::map<std::string, std::string>{{"config.json", "mine"}}));
  EXPECT_FALSE(fs::exists(dir_ / "out/tokenizer"));
}

// A folder that appears behind the check stands in for any rename that fails.
TEST_F(Unpacking, ForcedUnpackThatFailsAmongTheRenamesPutsBackWhatItReplaced) {
  const Archive archive = Open();
  WriteFile(dir_ / "out/config.json", "mine");
  WriteFile(dir_ / "out/tokenizer/vocab.txt", "mine too");
  options_.overwrite = true;
  options_.progress = [&](const Progress& progress) {
    if (progress.done_bytes == progress.total_bytes) {
      fs::create_directories(dir_ / "out/model.safetensors");
    }
    return true;
  };
  const Status status = Unpack(archive, "high", dir_ / "out", options_).status();
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(status.message().find("out/model.safetensors"), std::string::npos);
  EXPECT_EQ(ReadTree(dir_ / "out"),
            (std::map<std::string, std::string>{{"config.json", "mine"},
                                                {"tokenizer/vocab.txt", "mine too"}}));
}

TEST_F(Unpacking, CancelledLeavesNothing) {
  const Archive archive = Open();
  for (const int calls : {0, 2}) {
    int left = calls;
    options_.progress = [&](const Progress&) { return left-- > 0; };
    EXPECT_EQ(Unpack(archive, "high", dir_ / "out/deep", options_).status().code(),
              ErrorCode::kCancelled);
    EXPECT_FALSE(fs::exists(dir_ / "out"));
  }
}

TEST_F(Unpacking, MatchingTensorsGoToAFileOfTheirOwn) {
  const Archive archive = Open();
  options_.tensors = "[ab].*";
  const auto report = Unpack(archive, "low", dir_ / "out", options_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->files, 1u);
  const std::string file = ReadFile(dir_ / "out/model.safetensors");
  EXPECT_EQ(report->bytes, file.size());
  const auto header = io::ReadSafetensorsHeader(MemorySource(file));
  ASSERT_TRUE(header.ok()) << header.status().ToString();
  ASSERT_EQ(header->tensors.size(), 4u);
  for (const auto& entry : header->tensors) {
    const size_t tensor = *archive.FindTensor(0, entry.name);
    std::vector<std::byte> content(archive.tensor(tensor).byte_size);
    ASSERT_TRUE(archive.ReadTensor(tensor, content).ok());
    EXPECT_TRUE(std::ranges::equal(
        content, std::as_bytes(std::span(file)).subspan(entry.begin, entry.end - entry.begin)))
        << entry.name;
  }
  options_.tensors = "nothing*";
  EXPECT_EQ(Unpack(archive, "low", dir_ / "none", options_).status().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(dir_ / "none"));
}

TEST_F(Unpacking, OneFile) {
  const Archive archive = Open();
  options_.file = "config.json";
  const auto report = Unpack(archive, "high", dir_ / "out", options_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->files, 1u);
  EXPECT_EQ(ReadTree(dir_ / "out").size(), 1u);
  EXPECT_EQ(ReadFile(dir_ / "out/config.json"), ReadFile(dir_ / "high/config.json"));
  options_.tensors = "*";
  EXPECT_EQ(Unpack(archive, "high", dir_ / "none", options_).status().code(),
            ErrorCode::kInvalidArgument);
  options_.tensors.clear();
  options_.file = "config";
  EXPECT_EQ(Unpack(archive, "high", dir_ / "none", options_).status().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(dir_ / "none"));
}

TEST_F(Unpacking, UnknownVariant) {
  EXPECT_EQ(Unpack(Open(), "none", dir_ / "out", options_).status().code(), ErrorCode::kNotFound);
  EXPECT_FALSE(fs::exists(dir_ / "out"));
}

TEST_F(Unpacking, VerifyFindsEveryDifferenceFromDirectories) {
  const Archive archive = Open();
  const auto verify = [&] { return Verify(archive, Pair()).status(); };
  EXPECT_TRUE(verify().ok());
  const std::string config = ReadFile(dir_ / "low/config.json");
  WriteFile(dir_ / "low/config.json", config + " ");
  EXPECT_EQ(verify().code(), ErrorCode::kMismatch);
  WriteFile(dir_ / "low/config.json", config);
  WriteFile(dir_ / "low/added", "");
  EXPECT_EQ(verify().code(), ErrorCode::kMismatch);
  fs::remove(dir_ / "low/added");
  fs::remove(dir_ / "low/empty");
  EXPECT_EQ(verify().code(), ErrorCode::kMismatch);
  WriteFile(dir_ / "low/empty", "");
  EXPECT_TRUE(verify().ok());
  std::string weights = ReadFile(dir_ / "high/model.safetensors");
  weights[weights.size() - 3] = static_cast<char>(weights[weights.size() - 3] ^ 1);
  WriteFile(dir_ / "high/model.safetensors", weights);
  const Status status = verify();
  EXPECT_EQ(status.code(), ErrorCode::kMismatch);
  EXPECT_NE(status.message().find(std::to_string(weights.size() - 3)), std::string::npos)
      << status.message();
  const std::vector<VariantSource> unknown = {{"none", dir_ / "low"}};
  EXPECT_EQ(Verify(archive, unknown).status().code(), ErrorCode::kNotFound);
}

TEST(UnpackTree, EmptyDirectoriesAndExecutableFilesComeBack) {
  const TempDir dir;
  const fs::path model = dir / "model";
  const std::vector<TestTensor> tensors = {{"w", DType::kU8, {3}, std::vector<std::byte>(3)}};
  WriteSafetensors(model / "model.safetensors", tensors);
  std::ofstream(model / "run.sh") << "true\n";
  std::ofstream(model / "nothing") << "";
  fs::permissions(model / "run.sh", fs::perms::owner_all | fs::perms::group_read);
  fs::create_directories(model / "cache" / "empty");
  const Archive archive = PackAndOpen({{"v", model}}, dir / "m.qstore");
  const auto has = [&](std::string_view path) {
    for (size_t f = 0; f < archive.variant(0).file_count; ++f) {
      if (archive.file(f).path == path) return archive.file(f);
    }
    return FileInfo();
  };
  EXPECT_TRUE(has("cache/empty").is_directory);
  EXPECT_TRUE(has("run.sh").is_executable);
  EXPECT_FALSE(has("nothing").is_directory || has("nothing").is_executable);
  for (const bool exists : {false, true}) {
    const fs::path out = dir / (exists ? "old" : "new");
    if (exists) fs::create_directories(out);
    ASSERT_TRUE(Unpack(archive, "v", out).ok());
    EXPECT_TRUE(fs::is_directory(out / "cache" / "empty"));
    EXPECT_NE(fs::status(out / "run.sh").permissions() & fs::perms::owner_exec, fs::perms::none);
    EXPECT_EQ(fs::status(out / "nothing").permissions() & fs::perms::owner_exec, fs::perms::none);
    EXPECT_TRUE(Verify(archive, std::vector<VariantSource>{{"v", out}}).ok());
  }
  fs::permissions(model / "run.sh", fs::perms::owner_read);
  const auto mode = Verify(archive, std::vector<VariantSource>{{"v", model}});
  EXPECT_EQ(mode.status().code(), ErrorCode::kMismatch) << mode.status().ToString();
  fs::permissions(model / "run.sh", fs::perms::owner_all);
  fs::remove(model / "cache" / "empty");
  std::ofstream(model / "cache" / "empty") << "";
  const auto kind = Verify(archive, std::vector<VariantSource>{{"v", model}});
  EXPECT_EQ(kind.status().code(), ErrorCode::kMismatch) << kind.status().ToString();
}

}  // namespace
}  // namespace qstore
