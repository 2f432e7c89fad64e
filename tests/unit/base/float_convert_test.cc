// SPDX-License-Identifier: Apache-2.0
#include "base/float_convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define QSTORE_TEST_F16C 1
#endif

namespace qstore::base {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

static_assert(Fp16ToFloat(0x3c00) == 1.0f);
static_assert(Fp16ToFloat(0x0001) == 0x1p-24f);
static_assert(Fp16ToFloat(0x7bff) == 65504.0f);
static_assert(FloatToFp16(65519.0f) == 0x7bff);
static_assert(FloatToFp16(65520.0f) == 0x7c00);
static_assert(FloatToFp16(0x1p-25f) == 0);    // A tie goes to even.
static_assert(FloatToFp16(0x1.8p-24f) == 2);  // And so does the next one.
static_assert(FloatToFp16(0x1.000002p-25f) == 1);
static_assert(FloatToBf16(1.0f) == 0x3f80);
static_assert(FloatToBf16(0x1.01p0f) == 0x3f80);  // Tie to even, down.
static_assert(FloatToBf16(0x1.03p0f) == 0x3f82);  // Tie to even, up.
static_assert(FloatToBf16(0x1.fffffep127f) == 0x7f80);

bool IsNan16(uint16_t bits, uint16_t infinity) { return (bits & 0x7fff) > infinity; }

// Written from the definition of the formats, with the library's scaling by powers of two.
double ExactValue(uint16_t bits, int mantissa_bits, int bias) {
  const int exponent = (bits & 0x7fff) >> mantissa_bits;
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double magnitude =
      exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                    : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(FloatConvert, EveryFp16PatternWidensToItsValueAndComesBack) {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float wide = Fp16ToFloat(bits);
    if (IsNan16(bits, 0x7c00)) {
      EXPECT_TRUE(std::isnan(wide));
      EXPECT_EQ(FloatToFp16(wide), bits | 0x0200);
    } else {
      EXPECT_EQ(FloatToFp16(wide), bits);
      if ((bits & 0x7fff) == 0x7c00) {
        EXPECT_EQ(std::fabs(wide), kInf);
      } else {
        EXPECT_EQ(wide, ExactValue(bits, 10, 15));
      }
      EXPECT_EQ(std::signbit(wide), (bits & 0x8000) != 0);
    }
  }
}

TEST(FloatConvert, EveryBf16PatternWidensToItsValueAndComesBack) {
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const auto bits = static_cast<uint16_t>(i);
    const float wide = Bf16ToFloat(bits);
    if (IsNan16(bits, 0x7f80)) {
      EXPECT_TRUE(std::isnan(wide));
      EXPECT_EQ(FloatToBf16(wide), bits | 0x0040);
    } else {
      EXPECT_EQ(FloatToBf16(wide), bits);
      if ((bits & 0x7fff) != 0x7f80) {
        EXPECT_EQ(wide, ExactValue(bits, 7, 127));
      }
    }
  }
}

// Around every 16-bit value: the value, the tie to its successor, and the neighbours of the tie.
template <class Narrow>
void ExpectTiesToEven(Narrow narrow, float (*widen)(uint16_t), uint16_t largest) {
  for (uint16_t bits = 0; bits < largest; ++bits) {
    const auto next = static_cast<uint16_t>(bits + 1);
    const float tie = static_cast<float>((double{widen(bits)} + double{widen(next)}) / 2);
    EXPECT_EQ(narrow(tie), bits % 2 == 0 ? bits : next) << bits;
    EXPECT_EQ(narrow(std::nextafter(tie, -kInf)), bits);
    EXPECT_EQ(narrow(std::nextafter(tie, kInf)), next);
    EXPECT_EQ(narrow(-tie), 0x8000 | (bits % 2 == 0 ? bits : next));
  }
}

TEST(FloatConvert, TiesGoToEven) {
  ExpectTiesToEven(FloatToFp16, Fp16ToFloat, 0x7bff);
  ExpectTiesToEven(FloatToBf16, Bf16ToFloat, 0x7f7f);
}

#ifdef QSTORE_TEST_F16C
// Eight conversions a step over every `stride`-th of the 2^32 F32 patterns, and all F16 patterns.
__attribute__((target("avx,f16c"))) uint32_t CountDifferencesFromHardware(uint32_t stride) {
  uint32_t differences = 0;
  for (uint64_t first = 0; first < (uint64_t{1} << 32); first += uint64_t{8} * stride) {
    alignas(32) float in[8];
    alignas(16) uint16_t hardware[8];
    for (uint32_t j = 0; j < 8; ++j) {
      in[j] = std::bit_cast<float>(static_cast<uint32_t>(first + uint64_t{j} * stride));
    }
    _mm_store_si128(reinterpret_cast<__m128i*>(hardware),
                    _mm256_cvtps_ph(_mm256_load_ps(in), _MM_FROUND_TO_NEAREST_INT));
    for (uint32_t j = 0; j < 8; ++j) differences += FloatToFp16(in[j]) != hardware[j];
  }
  for (uint32_t first = 0; first < 0x10000; first += 8) {
    alignas(16) uint16_t in[8];
    alignas(32) float hardware[8];
    for (uint32_t j = 0; j < 8; ++j) in[j] = static_cast<uint16_t>(first + j);
    _mm256_store_ps(hardware,
                    _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(in))));
    for (uint32_t j = 0; j < 8; ++j) {
      differences +=
          std::bit_cast<uint32_t>(Fp16ToFloat(in[j])) != std::bit_cast<uint32_t>(hardware[j]);
    }
  }
  return differences;
}

TEST(FloatConvert, Fp16AgreesWithTheProcessor) {
  // Every processor with AVX2 has F16C, which clang 14 cannot ask for.
  if (!__builtin_cpu_supports("avx2")) return;
  // With a stride of 1 this takes 15 s and finds no difference either.
  EXPECT_EQ(CountDifferencesFromHardware(61), 0u);
}
#endif

}  // namespace
}  // namespace qstore::base
