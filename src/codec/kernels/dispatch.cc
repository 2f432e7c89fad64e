// SPDX-License-Identifier: Apache-2.0
#include <cstring>
#include <initializer_list>

#include "base/isa.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/kernels.h"
#include "codec/kernels/round_kernels.h"

namespace qstore::codec {
namespace {

const Kernels& KernelsFor([[maybe_unused]] base::Isa isa) {
#if defined(QSTORE_X86_KERNELS)
  if (isa == base::Isa::kAvx512) return kAvx512Kernels;
  if (isa == base::Isa::kAvx2) {
    return base::HasFastDeposit() ? kAvx2Kernels : kAvx2ShuffleKernels;
  }
#endif
  return kScalarKernels;
}

const RoundKernels& RoundingFor([[maybe_unused]] base::Isa isa) {
#if defined(QSTORE_X86_KERNELS)
  if (isa == base::Isa::kAvx512) return kAvx512Rounding;
  if (isa == base::Isa::kAvx2) return kAvx2Rounding;
#endif
  return kScalarRounding;
}

constexpr auto kIsas = {base::Isa::kScalar, base::Isa::kAvx2, base::Isa::kAvx512};

}  // namespace

const Kernels* KernelsByName(const char* name) {
  if (std::strcmp(name, kScalarKernels.name) == 0) return &kScalarKernels;
#if defined(QSTORE_X86_KERNELS)
  if (base::HasIsa(base::Isa::kAvx2)) {
    if (std::strcmp(name, kAvx2Kernels.name) == 0) return &kAvx2Kernels;
    if (std::strcmp(name, kAvx2ShuffleKernels.name) == 0) return &kAvx2ShuffleKernels;
  }
  if (base::HasIsa(base::Isa::kAvx512) && std::strcmp(name, kAvx512Kernels.name) == 0) {
    return &kAvx512Kernels;
  }
#endif
  return nullptr;
}

const RoundKernels* RoundingByName(const char* name) {
  for (const base::Isa isa : kIsas) {
    if (base::HasIsa(isa) && std::strcmp(KernelsFor(isa).name, name) == 0) {
      return &RoundingFor(isa);
    }
  }
  return nullptr;
}

const RoundKernels& ActiveRounding() { return RoundingFor(base::ActiveIsa()); }

const Kernels& ActiveKernels() { return KernelsFor(base::ActiveIsa()); }

}  // namespace qstore::codec
