// SPDX-License-Identifier: Apache-2.0
#include "codec/integer.h"

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

constexpr size_t kNibbleBlock = 128;

// Pairs of nibbles in `count` elements: two elements a pair, the last block rounded up.
size_t PairCount(size_t count) {
  return count / kNibbleBlock * (kNibbleBlock / 2) + (count % kNibbleBlock + 1) / 2;
}

}  // namespace

void EncodeInt8(std::span<const std::byte> raw, PlaneScratch* scratch,
                std::vector<std::byte>* out) {
  const size_t pairs = PairCount(raw.size());
  uint8_t* high = scratch->Get(0, pairs);
  uint8_t* low = scratch->Get(1, pairs);
  ActiveKernels().split_nibbles(reinterpret_cast<const uint8_t*>(raw.data()), raw.size(), high,
                                low);
  EncodePlane({high, pairs}, true, out);
  EncodePlane({low, pairs}, true, out);
}

Status DecodeInt8(base::ByteReader* payload, PlaneScratch* scratch, std::span<std::byte> raw) {
  const size_t pairs = PairCount(raw.size());
  QSTORE_ASSIGN(const uint8_t* high, DecodePlane(payload, pairs, scratch->Get(0, pairs)));
  QSTORE_ASSIGN(const uint8_t* low, DecodePlane(payload, pairs, scratch->Get(1, pairs)));
  ActiveKernels().merge_nibbles(high, low, raw.size(), reinterpret_cast<uint8_t*>(raw.data()));
  return {};
}

void EncodeBytePlanes(unsigned elem_bytes, std::span<const std::byte> raw, PlaneScratch* scratch,
                      std::vector<std::byte>* out) {
  const size_t count = raw.size() / elem_bytes;
  const auto* in = reinterpret_cast<const uint8_t*>(raw.data());
  for (unsigned p = 0; p < elem_bytes; ++p) {
    if (elem_bytes == 1) {
      EncodePlane({in, count}, true, out);
      return;
    }
    uint8_t* plane = scratch->Get(0, count);
    for (size_t i = 0; i < count; ++i) plane[i] = in[i * elem_bytes + p];
    EncodePlane({plane, count}, true, out);
  }
}

Status DecodeBytePlanes(unsigned elem_bytes, base::ByteReader* payload, PlaneScratch* scratch,
                        std::span<std::byte> raw) {
  const size_t count = raw.size() / elem_bytes;
  auto* out = reinterpret_cast<uint8_t*>(raw.data());
  for (unsigned p = 0; p < elem_bytes; ++p) {
    QSTORE_ASSIGN(const uint8_t* plane, DecodePlane(payload, count, scratch->Get(0, count)));
    for (size_t i = 0; i < count; ++i) out[i * elem_bytes + p] = plane[i];
  }
  return {};
}

}  // namespace qstore::codec
