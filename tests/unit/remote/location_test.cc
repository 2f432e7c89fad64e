// SPDX-License-Identifier: Apache-2.0
#include "remote/location.h"

#include <gtest/gtest.h>

namespace qstore::remote {
namespace {

TEST(Location, UrlsAreToldFromPaths) {
  for (const char* url : {"http://a/b", "S3://bucket/m", "simplecache::s3://b/m", "a+b-c.1://x"}) {
    EXPECT_TRUE(IsUrl(url)) << url;
  }
  for (const char* path : {"", "m.qstore", "/a://b", "memory:/m", "1a://b", "./http://a", "a:b"}) {
    EXPECT_FALSE(IsUrl(path)) << path;
  }
  EXPECT_EQ(SchemeOf("HTTPS://a"), "https");
  EXPECT_EQ(SchemeOf("simplecache::s3://b/m"), "");
}

TEST(Location, SecretsAreLeftOut) {
  EXPECT_EQ(WithoutSecrets("https://me:pw@host:1/m.qstore?sig=1#x"), "https://host:1/m.qstore");
  EXPECT_EQ(WithoutSecrets("https://me:p@w@host"), "https://host");
  EXPECT_EQ(WithoutSecrets("https://host/a@b"), "https://host/a@b");
  EXPECT_EQ(WithoutSecrets("hf://org/name@main/m"), "hf://org/name@main/m");
}

TEST(Location, FileUrlsHaveAPathOnly) {
  EXPECT_EQ(*PathOfFileUrl("file:///a/with%20space"), "/a/with space");
  EXPECT_EQ(*PathOfFileUrl("FILE://localhost/a"), "/a");
  for (const char* wrong : {"file://elsewhere/a", "file:///a?b", "file:///a#b", "file:///%0",
                            "file:///%zz", "file:///a%00b"}) {
    EXPECT_EQ(PathOfFileUrl(wrong).status().code(), ErrorCode::kInvalidArgument) << wrong;
  }
}

}  // namespace
}  // namespace qstore::remote
