// SPDX-License-Identifier: Apache-2.0
#include "codec/nibbles.h"

#include <algorithm>

#include "base/status_macros.h"

namespace qstore::codec {
namespace {

constexpr size_t kBlock = 128;

// Whole blocks have a loop of constant length, which compilers vectorize.
template <class ForHalf>
void ForEachBlock(size_t count, ForHalf for_half) {
  size_t begin = 0;
  size_t pair = 0;
  for (; begin + kBlock <= count; begin += kBlock, pair += kBlock / 2) {
    for_half(begin, pair, kBlock / 2, kBlock / 2);
  }
  const size_t half = (count - begin + 1) / 2;
  if (half > 0) for_half(begin, pair, half, count - begin - half);
}

size_t PairCount(size_t count) { return count / kBlock * (kBlock / 2) + (count % kBlock + 1) / 2; }

}  // namespace

void EncodeNibbles(Effort effort, std::span<const uint8_t> nibbles, PlaneScratch* scratch,
                   std::vector<std::byte>* out) {
  const size_t pairs = PairCount(nibbles.size());
  uint8_t* plane = scratch->Get(0, pairs);
  ForEachBlock(nibbles.size(), [&](size_t begin, size_t pair, size_t first, size_t second) {
    const uint8_t* in = nibbles.data() + begin;
    uint8_t* to = plane + pair;
    for (size_t j = 0; j < second; ++j) to[j] = static_cast<uint8_t>(in[j] << 4 | in[first + j]);
    if (second < first) to[second] = static_cast<uint8_t>(in[second] << 4);
  });
  EncodePlane({plane, pairs}, effort, out);
}

Status DecodeNibbles(base::ByteReader* payload, PlaneScratch* scratch, std::span<uint8_t> nibbles) {
  const size_t pairs = PairCount(nibbles.size());
  QSTORE_ASSIGN(const uint8_t* plane, DecodePlane(payload, pairs, scratch->Get(0, pairs)));
  ForEachBlock(nibbles.size(), [&](size_t begin, size_t pair, size_t first, size_t second) {
    const uint8_t* in = plane + pair;
    uint8_t* to = nibbles.data() + begin;
    for (size_t j = 0; j < first; ++j) to[j] = in[j] >> 4;
    for (size_t j = 0; j < second; ++j) to[first + j] = in[j] & 15;
  });
  return {};
}

}  // namespace qstore::codec
