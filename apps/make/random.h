// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "make/philox.h"

namespace qstore::make {

/// One sequence of random numbers, named by the seed and three more numbers. Its numbers are the
/// same on every machine and by every compiler: integer arithmetic, and IEEE additions,
/// multiplications, divisions and square roots without contraction; no function of libm.
struct Stream {
  uint64_t seed = 0;
  uint32_t tensor = 0;
  uint32_t purpose = 0;
  uint32_t row = 0;
};

/// Numbers come in blocks of this many; `first` of the functions below must be a multiple of it.
inline constexpr size_t kBlock = 256;

/// Fills `out` with the numbers first, first + 1, … of a stream of standard normal deviates
/// (Box-Muller, with a 31-bit and a 32-bit uniform for each pair).
void FillNormal(const Stream& stream, uint64_t first, std::span<float> out);

/// The same for Student's t with `degrees` > 2 degrees of freedom (Bailey's form of Box-Muller).
/// The two members of a pair have the same radius: they are uncorrelated but not independent.
void FillStudentT(const Stream& stream, double degrees, uint64_t first, std::span<float> out);

/// The same for uniform integers of 32 bits.
void FillUniform(const Stream& stream, uint64_t first, std::span<uint32_t> out);

/// e to the power x for |x| < 700, with an error of a few units in the last place; the same bits on
/// every machine.
double PortableExp(double x);

}  // namespace qstore::make
