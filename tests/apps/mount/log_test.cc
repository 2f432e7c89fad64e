// SPDX-License-Identifier: Apache-2.0
#include "mount/log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "unit/test_files.h"

namespace qstore::mount {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

TEST(Log, AppendsALineForEachThingOnce) {
  const TempDir dir;
  WriteFile(dir / "log", "before\n");
  auto log = Log::ToFile(dir / "log");
  ASSERT_TRUE(log.ok()) << log.status().ToString();
  log->Write("one");
  log->Write("two\nlines\x1b[0m");
  log->Write("one");
  EXPECT_EQ(ReadFile(dir / "log"), "before\nqstore: one\nqstore: two?lines?[0m\n");
}

// However many there are, memory is bounded: after many others a line comes again.
TEST(Log, RemembersTheLastLines) {
  const TempDir dir;
  auto log = Log::ToFile(dir / "log");
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 100; ++i) log->Write("line " + std::to_string(i));
  log->Write("line 0");
  log->Write("line 99");
  const std::string text = ReadFile(dir / "log");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 101);
  EXPECT_TRUE(text.ends_with("line 99\nqstore: line 0\n"));
}

TEST(Log, SaysWhenThereIsNoFile) {
  const TempDir dir;
  const auto log = Log::ToFile(dir / "none/log");
  EXPECT_EQ(log.status().code(), ErrorCode::kIo);
  EXPECT_NE(log.status().message().find("none/log"), std::string::npos);
}

}  // namespace
}  // namespace qstore::mount
