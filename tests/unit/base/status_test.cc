// SPDX-License-Identifier: Apache-2.0
#include "qstore/status.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "base/status_macros.h"

namespace qstore {
namespace {

TEST(Status, SuccessHasNoMessage) {
  const Status status;
  EXPECT_TRUE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::kOk);
  EXPECT_EQ(status.message(), "");
  EXPECT_EQ(status.ToString(), "ok");
  EXPECT_TRUE(status.WithContext("m.qstore").ok());
  EXPECT_TRUE(Status(ErrorCode::kOk, "unheard").ok());
}

TEST(Status, ContextGoesInFront) {
  const Status status = Corrupt("the checksum differs").WithContext("m.qstore");
  EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
  EXPECT_EQ(status.ToString(), "corrupt: m.qstore: the checksum differs");
}

TEST(Status, EachCodeHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (unsigned i = 1; i <= static_cast<unsigned>(ErrorCode::kInternal); ++i) {
    const std::string_view name = ErrorCodeName(static_cast<ErrorCode>(i));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_NE(name, "unknown");
  }
  EXPECT_EQ(ErrorCodeName(static_cast<ErrorCode>(200)), "unknown");
}

Result<int> Half(int number) {
  if (number % 2 != 0) return InvalidArgument("odd");
  return number / 2;
}

Result<int> Quarter(int number) {
  QSTORE_ASSIGN(const int half, Half(number));
  QSTORE_TRY(Half(half).status());
  return half / 2;
}

TEST(Result, ErrorsReturnAtOnce) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_EQ(Quarter(1).status().code(), ErrorCode::kInvalidArgument);
}

TEST(Result, SuccessWithoutAValueIsADefect) {
  EXPECT_EQ(Result<int>(Status()).status().code(), ErrorCode::kInternal);
}

}  // namespace
}  // namespace qstore
