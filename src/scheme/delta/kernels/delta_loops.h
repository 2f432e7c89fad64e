// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstring>

#include "scheme/delta/kernels/delta_kernels.h"

namespace qstore::scheme {
namespace {
namespace loops {

inline uint16_t Load16(const uint8_t* at) {
  uint16_t value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

inline void Contexts(const uint8_t* floats, size_t count, unsigned mantissa, unsigned top,
                     const uint8_t* map, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const unsigned exponent = (Load16(floats + 2 * i) & 0x7fffu) >> mantissa;
    const unsigned below = top > exponent ? top - exponent : 0;
    out[i] = map[below < 15 ? below : 15];
  }
}

inline void Apply(const uint8_t* floats, const uint8_t* symbols, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    const uint16_t from = Load16(floats + 2 * i);
    const uint16_t symbol = symbols[i];
    const auto step = static_cast<uint16_t>((symbol >> 1) ^ (0u - (symbol & 1u)));
    const auto moved = static_cast<uint16_t>((from & 0x7fffu) + step);
    const auto turn = static_cast<uint16_t>(0u - (moved >> 15));
    const auto to = static_cast<uint16_t>((moved ^ turn) | ((from ^ moved) & 0x8000u));
    std::memcpy(out + 2 * i, &to, sizeof(to));
  }
}

inline void Steps(const uint8_t* __restrict floats, const uint8_t* __restrict others, size_t count,
                  uint32_t* __restrict out) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t from = Load16(floats + 2 * i);
    const uint32_t to = Load16(others + 2 * i);
    const uint32_t turn = 0u - ((from ^ to) >> 15);
    const uint32_t step = ((to & 0x7fffu) ^ turn) - (from & 0x7fffu);
    const uint32_t sign = 0u - ((step >> 15) & 1u);
    out[i] = ((step << 1) ^ sign) & 0xffffu;
  }
}

}  // namespace loops
}  // namespace
}  // namespace qstore::scheme
