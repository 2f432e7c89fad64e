// SPDX-License-Identifier: Apache-2.0
#include "remote/url.h"

#include <gtest/gtest.h>

#include "remote/http_answer.h"
#include "remote/proxy.h"

namespace qstore::remote {
namespace {

TEST(HttpUrl, IsTakenApart) {
  const auto url = ParseHttpUrl("HTTPS://Models.Example/a b/\xc3\xa9?sig=%2B&x={1}#part");
  ASSERT_TRUE(url.ok()) << url.status().ToString();
  EXPECT_EQ(url.value().origin(), "https://models.example:443");
  EXPECT_TRUE(url.value().text.ends_with("/a%20b/%C3%A9?sig=%2B&x=%7B1%7D")) << url.value().text;
  EXPECT_EQ(ParseHttpUrl("http://[::1]:8080/m").value().origin(), "http://::1:8080");
}

TEST(HttpUrl, OthersAreRefusedWithoutTheirSecrets) {
  for (const char* wrong : {"http://", "http://host:port/x", "ftp://host/x", "http://[::1/m",
                            "http://host:0/", "http://host:99999/", "m.qstore",
                            "http://me:hidden@host/m", "http://me:hidden@/m?hidden"}) {
    const auto url = ParseHttpUrl(wrong);
    EXPECT_EQ(url.status().code(), ErrorCode::kInvalidArgument) << wrong;
    EXPECT_EQ(url.status().message().find("hidden"), std::string::npos) << url.status().message();
  }
  EXPECT_FALSE(ParseHttpUrl(std::string_view("http://a/b\0c", 12)).ok());
}

TEST(HttpUrl, RedirectsAreRelativeToTheirUrl) {
  const HttpUrl base = *ParseHttpUrl("http://a:81/b/c?d");
  EXPECT_EQ(FollowUrl(base, "/x?y")->text, "http://a:81/x?y");
  EXPECT_EQ(FollowUrl(base, "x")->text, "http://a:81/b/x");
  EXPECT_EQ(FollowUrl(base, "//h/x")->text, "http://h/x");
  EXPECT_EQ(FollowUrl(base, "https://h/x#y")->text, "https://h/x");
  for (const char* wrong : {"ftp://a/b", "http://u:p@h/m", "file:///etc/passwd", "http://[::1/m",
                            "http://h:99999/", "http://h:x/"}) {
    EXPECT_EQ(FollowUrl(base, wrong).status().code(), ErrorCode::kIo) << wrong;
  }
}

TEST(Proxy, IsNotForHostsThatAreNamed) {
  for (const char* list :
       {"*", "models.example", ".example", "a, models.example:443", "example:443", "EXAMPLE"}) {
    EXPECT_TRUE(IsNamedBy(list, "models.example", 443)) << list;
  }
  for (const char* list : {"", "odels.example", "models.example:80", "models", "other.example"}) {
    EXPECT_FALSE(IsNamedBy(list, "models.example", 443)) << list;
  }
  EXPECT_TRUE(IsNamedBy("::1", "::1", 80));
  EXPECT_TRUE(IsNamedBy("[::1]:80", "::1", 80));
  EXPECT_FALSE(IsNamedBy("[::1]:81", "::1", 80));
  EXPECT_TRUE(IsNamedBy("10.0.0.1", "10.0.0.1", 80));
}

TEST(ContentRange, TellsAllOrNothing) {
  const auto range = ParseContentRange("bytes 0-23/99");
  ASSERT_TRUE(range.has_value());
  EXPECT_EQ(range->bytes, std::pair(uint64_t{0}, uint64_t{23}));
  EXPECT_EQ(range->size, 99U);
  EXPECT_FALSE(ParseContentRange("bytes */9")->bytes.has_value());
  for (const char* wrong :
       {"", "bytes", "bytes 0-23", "bytes 0-23/*", "bytes -1-2/3", "items 0-1/2", "bytes 0-1/2 ",
        "bytes 0-1/99999999999999999999", "bytes 0x1-2/3", "bytes 0-/3"}) {
    EXPECT_FALSE(ParseContentRange(wrong).has_value()) << wrong;
  }
}

}  // namespace
}  // namespace qstore::remote
