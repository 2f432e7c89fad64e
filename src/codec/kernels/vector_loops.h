// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <immintrin.h>

#include <cstring>

#include "codec/kernels/internal.h"
#include "codec/kernels/kernels.h"
#include "codec/kernels/portable_loops.h"

// Loops that the compiler vectorizes by itself, or that need only BMI2: compiled anew, with
// internal linkage, for every instruction set that includes this file.

namespace qstore::codec {
namespace {

namespace loops {

// A bit stream being written, its last bits in a register: storing and loading them again would
// take longer than all the rest.
class BitPutter {
 public:
  explicit BitPutter(BitSink* sink)
      : sink_(*sink), at_(sink->bytes + (sink->position >> 3)), used_(sink->position & 7) {
    word_ = *at_ & ((1u << used_) - 1);
    position_ = sink->position;
  }
  // Bits where the mask has them: at most 56.
  void Put(uint64_t bits, uint64_t mask) {
    PutJoined(_pext_u64(bits, mask), static_cast<uint64_t>(_mm_popcnt_u64(mask)));
  }
  // Low bits, at most 56. The others are 0.
  void PutJoined(uint64_t bits, uint64_t count) {
    word_ |= bits << used_;
    std::memcpy(at_, &word_, sizeof(word_));
    used_ += count;
    position_ += count;
    at_ += used_ >> 3;
    word_ >>= used_ & ~uint64_t{7} & 63;
    used_ &= 7;
  }
  void Finish() { sink_.position = position_; }

 private:
  BitSink& sink_;
  uint8_t* at_;
  uint64_t used_;
  uint64_t word_;
  uint64_t position_;
};

// Symbols of `width` bits, eight of which are side by side, to bytes and back.
#if !defined(QSTORE_NO_DEPOSIT)
struct Spreader {
  explicit Spreader(unsigned width) : mask(0x0101010101010101u * ((1u << width) - 1)) {}
  uint64_t Spread(uint64_t bits) const { return _pdep_u64(bits, mask); }
  uint64_t Join(uint64_t bytes) const { return _pext_u64(bytes, mask); }

  uint64_t mask;
};
#else
// Halves move apart, then quarters, then eighths: see byte_fields.h.
struct Spreader {
  explicit Spreader(unsigned bits_each)
      : all(bits_each < 8 ? (uint64_t{1} << 8 * bits_each) - 1 : ~uint64_t{0}), width(bits_each) {
    low[0] = (uint64_t{1} << 4 * width) - 1;
    low[1] = ((uint64_t{1} << 2 * width) - 1) * 0x0000000100000001u;
    low[2] = ((uint64_t{1} << width) - 1) * 0x0001000100010001u;
  }
  uint64_t Spread(uint64_t bits) const {
    bits &= all;
    for (unsigned i = 0; i < 3; ++i) {
      const uint64_t kept = bits & low[i];
      bits = kept | (bits ^ kept) << ((32 >> i) - (4 * width >> i));
    }
    return bits;
  }
  uint64_t Join(uint64_t bytes) const {
    for (unsigned i = 3; i-- > 0;) {
      const unsigned field = 4 * width >> i;
      bytes = (bytes & low[i]) | (bytes >> ((32 >> i) - field) & low[i] << field);
    }
    return bytes;
  }

  uint64_t all;
  unsigned width;
  uint64_t low[3];
};
#endif

inline void Unpack(const uint8_t* in, unsigned width, size_t count, uint8_t* out) {
  // Eight symbols take exactly `width` bytes.
  const Spreader spreader(width);
  size_t done = 0;
  for (; done + 8 <= count; done += 8, in += width) {
    const uint64_t symbols = spreader.Spread(LoadWord(in));
    std::memcpy(out + done, &symbols, sizeof(symbols));
  }
  scalar::Unpack(in, width, count - done, out + done);
}

inline void Pack(const uint8_t* in, unsigned width, size_t count, uint8_t* out) {
  const Spreader spreader(width);
  size_t done = 0;
  for (; done + 8 <= count; done += 8, out += width) {
    const uint64_t bits = spreader.Join(LoadWord(in + done));
    std::memcpy(out, &bits, sizeof(bits));
  }
  if (done < count) scalar::Pack(in + done, width, count - done, out);
}

inline void SplitFloat16(const uint8_t* in, size_t count, unsigned base, unsigned shift,
                         uint8_t* symbol, uint8_t* rest) {
  const auto mask = static_cast<uint16_t>((1u << shift) - 1);
  const auto floor = static_cast<uint16_t>(base);
  for (size_t i = 0; i < count; ++i) {
    uint16_t value;
    std::memcpy(&value, in + 2 * i, sizeof(value));
    const auto lead = static_cast<uint16_t>((value & 0x7fff) >> shift);
    const auto above = static_cast<uint16_t>(lead > floor ? lead - floor : 0);
    symbol[i] = static_cast<uint8_t>(above);
    rest[i] = static_cast<uint8_t>((value & mask) | static_cast<uint16_t>(value >> 15) << shift);
  }
}

inline void MergeFloat16(const uint8_t* symbol, const uint8_t* rest, size_t count, unsigned base,
                         unsigned shift, uint8_t* out) {
  const auto mask = static_cast<uint16_t>((1u << shift) - 1);
  for (size_t i = 0; i < count; ++i) {
    const auto lead = static_cast<uint16_t>((symbol[i] + base) << shift);
    const auto low = static_cast<uint16_t>(rest[i]);
    const auto magnitude = static_cast<uint16_t>((lead | (low & mask)) & 0x7fff);
    const auto value = static_cast<uint16_t>(magnitude | static_cast<uint16_t>(low >> shift) << 15);
    std::memcpy(out + 2 * i, &value, sizeof(value));
  }
}

inline void MergeFloat32(const uint8_t* symbol, const uint8_t* rest0, const uint8_t* rest1,
                         const uint8_t* rest2, size_t count, unsigned base, unsigned shift,
                         uint8_t* out) {
  const uint32_t mask = (1u << shift) - 1;
  for (size_t i = 0; i < count; ++i) {
    const uint32_t rest = rest0[i] | uint32_t{rest1[i]} << 8 | uint32_t{rest2[i]} << 16;
    const uint32_t lead = (symbol[i] + base) << shift;
    const uint32_t value = ((lead | (rest & mask)) & 0x7fffffff) | (rest >> shift) << 31;
    std::memcpy(out + 4 * i, &value, sizeof(value));
  }
}

// find_places with a vector of kLanes words at a time. is_place(at) has a bit for each place, kBits
// apart.
template <size_t kLanes, unsigned kBits, class IsPlace>
size_t FindPlaces(const uint8_t* words, size_t count, size_t most, uint32_t* places,
                  IsPlace is_place) {
  size_t found = 0;
  size_t done = 0;
  for (; done + kLanes <= count; done += kLanes) {
    for (uint32_t hits = is_place(words + 2 * done); hits != 0; hits &= hits - 1) {
      places[found++] =
          static_cast<uint32_t>(done + static_cast<size_t>(__builtin_ctz(hits)) / kBits);
    }
    if (found > most) return most + 1;
  }
  const size_t rest =
      scalar::FindPlaces(words + 2 * done, count - done, most - found, places + found);
  for (size_t i = found; i < found + rest; ++i) places[i] += static_cast<uint32_t>(done);
  return found + rest;
}

}  // namespace loops
}  // namespace
}  // namespace qstore::codec
