// SPDX-License-Identifier: Apache-2.0
#include "make/random.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace qstore::make {
namespace {

constexpr size_t kLanes = kBlock / 4;
using Batch = PhiloxBatch<kLanes>;
using Lanes = std::array<uint32_t, kLanes>;

// The words of one block: number j * kLanes + i of the block comes from word j of lane i.
void Draw(const Stream& stream, uint64_t block, Batch* batch) {
  const uint64_t first = block * kLanes;
  for (size_t i = 0; i < kLanes; ++i) {
    batch->word[0][i] = static_cast<uint32_t>(first + i);
    batch->word[1][i] = stream.row;
    batch->word[2][i] = stream.tensor;
    batch->word[3][i] = stream.purpose;
  }
  batch->Encrypt({static_cast<uint32_t>(stream.seed), static_cast<uint32_t>(stream.seed >> 32)});
}

// The natural logarithm of f * 2^-31 for f from 0.5 to 2^31.
inline float LogUniform(float f) {
  const auto bits = std::bit_cast<uint32_t>(f);
  // The mantissa goes to between sqrt(1/2) and sqrt(2), so that the series is in a small number.
  const int32_t exponent = static_cast<int32_t>(bits - 0x3f3504f3) >> 23;
  const float t = std::bit_cast<float>(bits - (static_cast<uint32_t>(exponent) << 23)) - 1.0f;
  float p = -0.07859545946121216f;
  p = p * t + 0.12881621718406677f;
  p = p * t + -0.13128767907619476f;
  p = p * t + 0.14181196689605713f;
  p = p * t + -0.16624553501605988f;
  p = p * t + 0.2000228613615036f;
  p = p * t + -0.25000810623168945f;
  p = p * t + 0.33333316445350647f;
  const float small = (t - 0.5f * (t * t)) + (t * t) * (t * p);
  return small + static_cast<float>(exponent - 31) * 0.6931471805599453f;
}

// cos and sin of 2 pi * v / 2^32.
struct Direction {
  float cosine;
  float sine;
};
inline Direction OnCircle(uint32_t v) {
  const uint32_t quadrant = (v + 0x20000000u) >> 30;
  const auto rest = static_cast<float>(static_cast<int32_t>(v - (quadrant << 30)));
  const float x = rest * 0x1.921fb6p-30f;  // pi/2 over 2^30: |x| <= pi/4.
  const float z = x * x;
  float s = -0.00019517297914717346f;
  s = s * z + 0.008332177996635437f;
  s = s * z + -0.16666655242443085f;
  const float sine = x + x * (z * s);
  float c = 2.443845005473122e-05f;
  c = c * z + -0.001388736767694354f;
  c = c * z + 0.04166664555668831f;
  const float cosine = (1.0f - 0.5f * z) + (z * z) * c;
  // Selections by masks: a condition on floats would keep the loop from being vectorized.
  const uint32_t odd = 0u - (quadrant & 1);
  const auto sine_bits = std::bit_cast<uint32_t>(sine);
  const auto cosine_bits = std::bit_cast<uint32_t>(cosine);
  const uint32_t cosine_sign = ((quadrant + 1) & 2) << 30;
  const uint32_t sine_sign = (quadrant & 2) << 30;
  return {std::bit_cast<float>(((sine_bits & odd) | (cosine_bits & ~odd)) ^ cosine_sign),
          std::bit_cast<float>(((cosine_bits & odd) | (sine_bits & ~odd)) ^ sine_sign)};
}

// The same, or 0 when positive: the logarithm of 1 may come out a little above 0.
inline float NotPositive(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  return std::bit_cast<float>(bits & (0u - (bits >> 31)));
}

inline float UniformToFloat(uint32_t v) {
  return static_cast<float>(static_cast<int32_t>(v >> 1)) + 0.5f;
}

struct NormalRadius {
  float operator()(float log_uniform) const { return std::sqrt(-2.0f * log_uniform); }
};

struct StudentRadius {
  double degrees;
  float operator()(float log_uniform) const {
    const double power = PortableExp(-2.0 / degrees * static_cast<double>(log_uniform));
    return static_cast<float>(std::sqrt(degrees * std::max(power - 1.0, 0.0)));
  }
};

template <class Radius>
void PairsFrom(const Lanes& radius_bits, const Lanes& angle_bits, const Radius& radius,
               float* first, float* second) {
  for (size_t i = 0; i < kLanes; ++i) {
    const float r = radius(NotPositive(LogUniform(UniformToFloat(radius_bits[i]))));
    const Direction d = OnCircle(angle_bits[i]);
    first[i] = r * d.cosine;
    second[i] = r * d.sine;
  }
}

// Calls fill(block, where) for each block of the range; the last may be partial.
template <class T, class Fill>
void ForBlocks(uint64_t first, std::span<T> out, const Fill& fill) {
  uint64_t block = first / kBlock;
  for (size_t at = 0; at < out.size(); at += kBlock, ++block) {
    if (out.size() - at >= kBlock) {
      fill(block, out.data() + at);
    } else {
      T last[kBlock];
      fill(block, last);
      std::memcpy(out.data() + at, last, (out.size() - at) * sizeof(T));
    }
  }
}

template <class Radius>
void Fill(const Stream& stream, const Radius& radius, uint64_t first, std::span<float> out) {
  Batch batch;
  ForBlocks(first, out, [&](uint64_t block, float* to) {
    Draw(stream, block, &batch);
    PairsFrom(batch.word[0], batch.word[1], radius, to, to + kLanes);
    PairsFrom(batch.word[2], batch.word[3], radius, to + 2 * kLanes, to + 3 * kLanes);
  });
}

}  // namespace

void FillNormal(const Stream& stream, uint64_t first, std::span<float> out) {
  Fill(stream, NormalRadius{}, first, out);
}

void FillStudentT(const Stream& stream, double degrees, uint64_t first, std::span<float> out) {
  Fill(stream, StudentRadius{degrees}, first, out);
}

void FillUniform(const Stream& stream, uint64_t first, std::span<uint32_t> out) {
  Batch batch;
  ForBlocks(first, out, [&](uint64_t block, uint32_t* to) {
    Draw(stream, block, &batch);
    for (size_t j = 0; j < 4; ++j) std::memcpy(to + j * kLanes, batch.word[j].data(), kLanes * 4);
  });
}

double PortableExp(double x) {
  const double scaled = x * 1.4426950408889634;
  const auto n = static_cast<int64_t>(scaled + (scaled < 0 ? -0.5 : 0.5));
  // ln 2 in two parts; the first has few enough bits for its multiples to be exact.
  const double r = (x - static_cast<double>(n) * 0x1.62e42feep-1) -
                   static_cast<double>(n) * 0x1.a39ef35793c76p-33;
  double sum = 1.0;
  for (int k = 13; k >= 1; --k) sum = 1.0 + sum * r / k;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(n + 1023) << 52);
}

}  // namespace qstore::make
