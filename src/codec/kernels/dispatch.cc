// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "codec/kernels/internal.h"
#include "codec/kernels/kernels.h"

namespace qstore::codec {

const Kernels* KernelsByName(const char* name) {
  if (std::strcmp(name, "scalar") == 0) return &kScalarKernels;
#if defined(QSTORE_X86_KERNELS)
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("popcnt");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (std::strcmp(name, "avx512") == 0 && avx2 && avx512) return &kAvx512Kernels;
  if (std::strcmp(name, "avx2") == 0 && avx2) return &kAvx2Kernels;
#endif
  return nullptr;
}

const Kernels& ActiveKernels() {
  static const Kernels* const active = [] {
    const char* forced = std::getenv("QSTORE_ISA");
    const Kernels* kernels = forced != nullptr ? KernelsByName(forced) : nullptr;
    for (const char* name : {"avx512", "avx2", "scalar"}) {
      if (kernels == nullptr) kernels = KernelsByName(name);
    }
    return kernels;
  }();
  return *active;
}

}  // namespace qstore::codec
