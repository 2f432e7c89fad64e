// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <initializer_list>

#include "base/isa.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/kernels.h"

namespace qstore::codec {
namespace {

const Kernels& KernelsFor([[maybe_unused]] base::Isa isa) {
#if defined(QSTORE_X86_KERNELS)
  if (isa == base::Isa::kAvx512) return kAvx512Kernels;
  if (isa == base::Isa::kAvx2) return kAvx2Kernels;
#endif
  return kScalarKernels;
}

}  // namespace

const Kernels* KernelsByName(const char* name) {
  for (const base::Isa isa : {base::Isa::kScalar, base::Isa::kAvx2, base::Isa::kAvx512}) {
    if (base::HasIsa(isa) && std::strcmp(KernelsFor(isa).name, name) == 0) return &KernelsFor(isa);
  }
  return nullptr;
}

const Kernels& ActiveKernels() { return KernelsFor(base::ActiveIsa()); }

}  // namespace qstore::codec
