// SPDX-License-Identifier: Apache-2.0
#include "remote/addresses.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <cstring>

namespace qstore::remote {
namespace {

struct Network4 {
  uint32_t address;
  unsigned bits;
};

// Of the registry of special-purpose addresses (RFC 6890) and multicast.
constexpr Network4 kSpecial4[] = {
    {0x00000000, 8},  {0x0A000000, 8},  {0x64400000, 10}, {0x7F000000, 8},  {0xA9FE0000, 16},
    {0xAC100000, 12}, {0xC0000000, 24}, {0xC0000200, 24}, {0xC0586300, 24}, {0xC0A80000, 16},
    {0xC6120000, 15}, {0xC6336400, 24}, {0xCB007100, 24}, {0xE0000000, 4},  {0xF0000000, 4},
};

bool IsPublic4(uint32_t address) {
  return std::none_of(std::begin(kSpecial4), std::end(kSpecial4), [&](const Network4& network) {
    return (address ^ network.address) >> (32 - network.bits) == 0;
  });
}

using Address6 = std::array<uint8_t, 16>;

bool BeginsWith(const Address6& address, std::initializer_list<uint8_t> prefix) {
  return std::equal(prefix.begin(), prefix.end(), address.begin());
}

uint32_t Inner4(const Address6& address, size_t at) {
  uint32_t inner = 0;
  for (size_t i = 0; i < 4; ++i) inner = inner << 8 | address[at + i];
  return inner;
}

bool IsPublic6(const Address6& address) {
  if (BeginsWith(address, {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}) ||
      BeginsWith(address, {0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0})) {
    return IsPublic4(Inner4(address, 12));
  }
  if (BeginsWith(address, {0x20, 0x02})) return IsPublic4(Inner4(address, 2));
  // Of global unicast: protocol assignments and documentation.
  const bool is_special = (BeginsWith(address, {0x20, 0x01}) && address[2] < 2) ||
                          BeginsWith(address, {0x20, 0x01, 0x0d, 0xb8}) ||
                          (BeginsWith(address, {0x3f, 0xff}) && address[2] < 0x10);
  return address[0] >> 5 == 1 && !is_special;
}

}  // namespace

bool IsPublicAddress(const std::string& address) {
  const std::string text = address.substr(0, address.find('%'));
  in_addr four{};
  if (::inet_pton(AF_INET, text.c_str(), &four) == 1) return IsPublic4(ntohl(four.s_addr));
  Address6 six{};
  return ::inet_pton(AF_INET6, text.c_str(), six.data()) == 1 && IsPublic6(six);
}

bool IsPublicHost(const std::string& host) {
  if (host.find(':') != std::string::npos) return IsPublicAddress(host);
  // Takes "127.1" and "0x7f000001" as well, as who connects does.
  in_addr four{};
  if (::inet_aton(host.c_str(), &four) != 0) return IsPublic4(ntohl(four.s_addr));
  std::string name = host;
  while (!name.empty() && name.back() == '.') name.pop_back();
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name != "localhost" && !name.ends_with(".localhost");
}

}  // namespace qstore::remote
