// SPDX-License-Identifier: Apache-2.0
#include "base/isa.h"

#if defined(QSTORE_X86_KERNELS)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>
#include <initializer_list>

namespace qstore::base {
#if defined(QSTORE_X86_KERNELS)
namespace {

// Not among the names that all compilers' __builtin_cpu_supports know.
// Asked once: a virtual machine leaves for its host at every question.
bool HasLzcnt() {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & bit_LZCNT) != 0;
  }();
  return has;
}

}  // namespace
#endif

bool HasFastDeposit() {
#if defined(QSTORE_X86_KERNELS)
  static const bool fast = [] {
    constexpr unsigned kZen3 = 0x19;
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid(0, &a, &b, &c, &d) == 0) return true;
    const bool is_amd = b == signature_AMD_ebx && c == signature_AMD_ecx && d == signature_AMD_edx;
    // HygonGenuine: Zen 1 and 2 under another name.
    const bool is_hygon = b == 0x6f677948 && c == 0x656e6975 && d == 0x6e65476e;
    if (!is_amd && !is_hygon) return true;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0) return true;
    const unsigned family = (a >> 8 & 15) + (a >> 20 & 255);
    return family >= kZen3;
  }();
  return fast;
#else
  return false;
#endif
}

const char* IsaName(Isa isa) {
  if (isa == Isa::kAvx512) return "avx512";
  return isa == Isa::kAvx2 ? "avx2" : "scalar";
}

bool HasIsa(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if defined(QSTORE_X86_KERNELS)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt") &&
                    HasLzcnt();
  if (isa == Isa::kAvx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2") &&
         __builtin_cpu_supports("gfni");
#else
  return false;
#endif
}

Isa ActiveIsa() {
  static const Isa active = [] {
    const char* forced = std::getenv("QSTORE_ISA");
    for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
      if (forced != nullptr && std::strcmp(forced, IsaName(isa)) == 0 && HasIsa(isa)) return isa;
    }
    for (const Isa isa : {Isa::kAvx512, Isa::kAvx2}) {
      if (HasIsa(isa)) return isa;
    }
    return Isa::kScalar;
  }();
  return active;
}

}  // namespace qstore::base
