// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <cstring>
#include <initializer_list>

#include "codec/kernels/kernels.h"
#include "codec/kernels/scalar.h"

namespace qstore::codec {

const Kernels* KernelsByName(const char* name) {
  if (std::strcmp(name, "scalar") == 0) return &kScalarKernels;
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
