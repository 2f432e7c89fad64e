// SPDX-License-Identifier: Apache-2.0
#include "codec/integer.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

constexpr size_t kNibbleBlock = 128;

// Low bits kept apart: nibbles in pairs, or a finer split whose symbols stand alone.
constexpr uint8_t kPairSplit = 4;
constexpr uint8_t kFineSplit = 3;

// Pairs of nibbles in `count` elements: two elements a pair, the last block rounded up.
size_t PairCount(size_t count) {
  return count / kNibbleBlock * (kNibbleBlock / 2) + (count % kNibbleBlock + 1) / 2;
}

}  // namespace

void EncodeInt8(Effort effort, std::span<const std::byte> raw, PlaneScratch* scratch,
                std::vector<std::byte>* out) {
  const auto* in = reinterpret_cast<const uint8_t*>(raw.data());
  base::ByteWriter writer(out);
  if (effort >= Effort::kFineRuns) {
    writer.Fixed(kFineSplit);
    uint8_t* high = scratch->Get(0, raw.size());
    uint8_t* low = scratch->Get(1, raw.size());
    for (size_t i = 0; i < raw.size(); ++i) {
      // Signed order keeps the symbols in use next to one another.
      high[i] = static_cast<uint8_t>((in[i] ^ 0x80) >> kFineSplit);
      low[i] = in[i] & ((1u << kFineSplit) - 1);
    }
    EncodePlane({high, raw.size()}, effort, out);
    EncodePlane({low, raw.size()}, effort, out);
    return;
  }
  writer.Fixed(kPairSplit);
  const size_t pairs = PairCount(raw.size());
  uint8_t* high = scratch->Get(0, pairs);
  uint8_t* low = scratch->Get(1, pairs);
  ActiveKernels().split_nibbles(in, raw.size(), high, low);
  // Pairs are too many for the scale of rANS to gain anything.
  EncodePlane({high, pairs}, Effort::kHuffman, out);
  EncodePlane({low, pairs}, Effort::kHuffman, out);
}

Status DecodeInt8(base::ByteReader* payload, PlaneScratch* scratch, std::span<std::byte> raw) {
  auto* out = reinterpret_cast<uint8_t*>(raw.data());
  const uint8_t split = payload->Fixed<uint8_t>();
  if (split != kPairSplit && split != kFineSplit) return Corrupt("int8: low bits are not 3 or 4");
  const size_t count = split == kPairSplit ? PairCount(raw.size()) : raw.size();
  QSTORE_ASSIGN(const uint8_t* high, DecodePlane(payload, count, scratch->Get(0, count)));
  QSTORE_ASSIGN(const uint8_t* low, DecodePlane(payload, count, scratch->Get(1, count)));
  if (split == kPairSplit) {
    ActiveKernels().merge_nibbles(high, low, raw.size(), out);
    return {};
  }
  for (size_t i = 0; i < count; ++i) {
    const unsigned top = static_cast<unsigned>(high[i] << kFineSplit) ^ 0x80;
    out[i] = static_cast<uint8_t>(top | (low[i] & ((1u << kFineSplit) - 1)));
  }
  return {};
}

void EncodeBytePlanes(unsigned elem_bytes, Effort effort, std::span<const std::byte> raw,
                      PlaneScratch* scratch, std::vector<std::byte>* out) {
  const size_t count = raw.size() / elem_bytes;
  const auto* in = reinterpret_cast<const uint8_t*>(raw.data());
  for (unsigned p = 0; p < elem_bytes; ++p) {
    if (elem_bytes == 1) {
      EncodePlane({in, count}, effort, out);
      return;
    }
    uint8_t* plane = scratch->Get(0, count);
    for (size_t i = 0; i < count; ++i) plane[i] = in[i * elem_bytes + p];
    EncodePlane({plane, count}, effort, out);
  }
}

namespace {

// Words from their four bytes, one pass in place of four.
void MergeBytes(const std::array<const uint8_t*, 4>& planes, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t word = planes[0][i] | uint32_t{planes[1][i]} << 8 |
                          uint32_t{planes[2][i]} << 16 | uint32_t{planes[3][i]} << 24;
    std::memcpy(out + 4 * i, &word, sizeof(word));
  }
}

}  // namespace

Status DecodeBytePlanes(unsigned elem_bytes, base::ByteReader* payload, PlaneScratch* scratch,
                        std::span<std::byte> raw) {
  const size_t count = raw.size() / elem_bytes;
  auto* out = reinterpret_cast<uint8_t*>(raw.data());
  if (elem_bytes == 4) {
    std::array<const uint8_t*, 4> planes{};
    for (unsigned p = 0; p < elem_bytes; ++p) {
      QSTORE_ASSIGN(planes[p], DecodePlane(payload, count, scratch->Get(p, count)));
    }
    MergeBytes(planes, count, out);
    return {};
  }
  for (unsigned p = 0; p < elem_bytes; ++p) {
    QSTORE_ASSIGN(const uint8_t* plane, DecodePlane(payload, count, scratch->Get(0, count)));
    if (elem_bytes == 1) {
      std::copy_n(plane, count, out);
    } else {
      for (size_t i = 0; i < count; ++i) out[i * elem_bytes + p] = plane[i];
    }
  }
  return {};
}

}  // namespace qstore::codec
