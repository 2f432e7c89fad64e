// SPDX-License-Identifier: Apache-2.0
#include "base/isa.h"

#if defined(QSTORE_X86_KERNELS)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <utility>

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
    for (const auto& [name, isa] :
         {std::pair("scalar", Isa::kScalar), std::pair("avx2", Isa::kAvx2),
          std::pair("avx512", Isa::kAvx512)}) {
      if (forced != nullptr && std::strcmp(forced, name) == 0 && HasIsa(isa)) return isa;
    }
    for (const Isa isa : {Isa::kAvx512, Isa::kAvx2}) {
      if (HasIsa(isa)) return isa;
    }
    return Isa::kScalar;
  }();
  return active;
}

}  // namespace qstore::base
