// SPDX-License-Identifier: Apache-2.0
#include "io/random_name.h"

#include <sys/random.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>

namespace qstore::io {
namespace {

uint64_t RandomBits() {
  uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) == sizeof bits) return bits;
  // Names are tried until one is free, so that these need not be secret, only rarely the same.
  static std::atomic<uint64_t> count{0};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  bits = static_cast<uint64_t>(now) + (static_cast<uint64_t>(::getpid()) << 40) + (count++ << 56);
  return bits * 0x9e3779b97f4a7c15u;
}

}  // namespace

TemporaryName RandomName() {
  TemporaryName name{};
  std::snprintf(name.data(), name.size(), "%s%016llx%s", kTemporaryPrefix.data(),
                static_cast<unsigned long long>(RandomBits()), kTemporarySuffix.data());
  return name;
}

}  // namespace qstore::io
