// SPDX-License-Identifier: Apache-2.0
#include "remote/addresses.h"

#include <gtest/gtest.h>

namespace qstore::remote {
namespace {

constexpr const char* kPrivate[] = {
    "127.0.0.1",
    "127.255.1.2",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.9.9",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "198.18.0.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fdff::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "2002:7f00:1::",
    "2001:db8::1",
    "192.0.2.7",
};
constexpr const char* kPublic[] = {"8.8.8.8",         "1.1.1.1",        "172.32.0.1",
                                   "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
                                   "2002:808:808::1"};

TEST(Addresses, OfOnesOwnAreNotPublic) {
  for (const char* address : kPrivate) {
    EXPECT_FALSE(IsPublicAddress(address)) << address;
    EXPECT_FALSE(IsPublicHost(address)) << address;
  }
  EXPECT_FALSE(IsPublicAddress("none"));
  for (const char* address : kPublic) {
    EXPECT_TRUE(IsPublicAddress(address)) << address;
    EXPECT_TRUE(IsPublicHost(address)) << address;
  }
}

TEST(Addresses, NamesAreTakenAsWhoConnectsTakesThem) {
  for (const char* host :
       {"localhost", "LocalHost.", "a.localhost", "127.1", "2130706433", "0x7f.1", "0177.1"}) {
    EXPECT_FALSE(IsPublicHost(host)) << host;
  }
  for (const char* host : {"models.example", "localhost.example", "134744072"}) {
    EXPECT_TRUE(IsPublicHost(host)) << host;
  }
}

}  // namespace
}  // namespace qstore::remote
