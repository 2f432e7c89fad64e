// SPDX-License-Identifier: Apache-2.0
#include "base/isa.h"

#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <utility>

namespace qstore::base {

bool HasIsa(Isa isa) {
  if (isa == Isa::kScalar) return true;
#if defined(QSTORE_X86_KERNELS)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  if (isa == Isa::kAvx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
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
