// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace qstore::base {

/// As long as it lives, floats of this thread are as IEEE 754 has them: rounded to nearest, with
/// subnormals, whatever mode the host program has set. For code whose results subnormals change.
class FloatMode {
 public:
#if defined(__x86_64__)
  FloatMode() : before_(_mm_getcsr()) { _mm_setcsr(kDefault); }
  ~FloatMode() { _mm_setcsr(before_); }
#elif defined(__aarch64__)
  FloatMode() {
    __asm__ volatile("mrs %0, fpcr" : "=r"(before_));
    __asm__ volatile("msr fpcr, %0" ::"r"(uint64_t{0}) : "memory");
  }
  ~FloatMode() { __asm__ volatile("msr fpcr, %0" ::"r"(before_) : "memory"); }
#else
  FloatMode() = default;
  ~FloatMode() = default;
#endif
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
#if defined(__x86_64__)
  static constexpr unsigned kDefault = 0x1F80;  // No exception traps, to nearest.
  unsigned before_;
#elif defined(__aarch64__)
  uint64_t before_ = 0;
#endif
};

}  // namespace qstore::base
