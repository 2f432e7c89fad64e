// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace qstore::make {

/// Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random
/// numbers: as easy as 1, 2, 3" (SC 2011): a block of random words is a function of key and counter
/// alone, so that any part of a tensor can be made on its own.
struct PhiloxKey {
  uint32_t low = 0;
  uint32_t high = 0;
};

/// kLanes counters side by side: word[w][i] is word w of lane i. The loops vectorize.
template <size_t kLanes>
struct PhiloxBatch {
  std::array<std::array<uint32_t, kLanes>, 4> word;

  /// Replaces each counter by the four random words that belong to it.
  void Encrypt(PhiloxKey key) {
    for (int round = 0; round < 10; ++round) {
      for (size_t i = 0; i < kLanes; ++i) {
        const uint64_t product0 = uint64_t{0xD2511F53} * word[0][i];
        const uint64_t product1 = uint64_t{0xCD9E8D57} * word[2][i];
        word[0][i] = static_cast<uint32_t>(product1 >> 32) ^ word[1][i] ^ key.low;
        word[1][i] = static_cast<uint32_t>(product1);
        word[2][i] = static_cast<uint32_t>(product0 >> 32) ^ word[3][i] ^ key.high;
        word[3][i] = static_cast<uint32_t>(product0);
      }
      key.low += 0x9E3779B9;
      key.high += 0xBB67AE85;
    }
  }
};

}  // namespace qstore::make
