// SPDX-License-Identifier: Apache-2.0
#include "qstore/get.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "qstore/source.h"
#include "unit/store/model_files.h"
#include "unit/test_files.h"

namespace qstore {
namespace {

namespace fs = std::filesystem;
using namespace testing;

class Getting : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteFile(dir_ / "many/config.json", "{}");
    WriteFile(dir_ / "many/deep/text", "hello");
    WriteFile(dir_ / "one.txt", "one");
    const std::vector<VariantSource> variants = {{"many", dir_ / "many"},
                                                 {"one", dir_ / "one.txt"}};
    ASSERT_TRUE(Pack(variants, dir_ / "m.qstore").ok());
    options_.cache = dir_ / "cache";
    options_.cache_size = 1000;
  }
  Archive Open() {
    auto opened = OpenArchive((dir_ / "m.qstore").string());
    return std::move(opened).value();
  }

  TempDir dir_;
  GetOptions options_;
};

TEST_F(Getting, AFileOrADirectoryOnce) {
  const Archive archive = Open();
  auto report = Get(archive, "many", options_);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_FALSE(report->was_there);
  EXPECT_EQ(ReadFile(report->path / "deep/text"), "hello");
  const fs::path many = report->path;
  report = Get(archive, "one", options_);
  EXPECT_EQ(report->path.filename(), "one.txt");
  EXPECT_EQ(ReadFile(report->path), "one");
  report = Get(Open(), "many", options_);
  EXPECT_TRUE(report->was_there);
  EXPECT_EQ(report->path, many);
  options_.file = "deep/text";
  EXPECT_EQ(Get(archive, "many", options_)->path, many / "deep/text");
}

TEST_F(Getting, WhatCannotBeLeavesNothing) {
  const Archive archive = Open();
  EXPECT_EQ(Get(archive, "none", options_).status().code(), ErrorCode::kNotFound);
  options_.file = "none";
  EXPECT_EQ(Get(archive, "many", options_).status().code(), ErrorCode::kNotFound);
  options_.file.clear();
  options_.cache_size = 6;
  EXPECT_EQ(Get(archive, "many", options_).status().code(), ErrorCode::kLimit);
  options_.cache_size = 1000;
  options_.progress = [](const Progress&) { return false; };
  EXPECT_EQ(Get(archive, "many", options_).status().code(), ErrorCode::kCancelled);
  options_.progress = {};
  WriteFile(dir_ / "file", "");
  options_.cache = dir_ / "file";
  EXPECT_FALSE(Get(archive, "many", options_).ok());
  EXPECT_TRUE(!fs::exists(dir_ / "cache") || EntryCount(dir_ / "cache") <= 1);
}

TEST_F(Getting, WhatIsUsedIsNotRemoved) {
  const Archive archive = Open();
  options_.cache_size = 7;
  auto many = Get(archive, "many", options_);
  ASSERT_TRUE(many.ok()) << many.status().ToString();
  auto one = Get(archive, "one", options_);
  ASSERT_TRUE(one.ok()) << one.status().ToString();
  EXPECT_TRUE(fs::exists(many->path));
  const fs::path path = one->path;
  one->in_use = many->in_use = nullptr;
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // Times of files are coarse.
  options_.file = "deep/text";
  EXPECT_EQ(Get(archive, "many", options_)->path, many->path / "deep/text");
  options_.file = "config.json";
  fs::remove(many->path / "config.json");
  const auto config = Get(archive, "many", options_);
  ASSERT_TRUE(config.ok()) << config.status().ToString();
  EXPECT_EQ(ReadFile(config->path), "{}");
  EXPECT_FALSE(fs::exists(path));
}

}  // namespace
}  // namespace qstore
