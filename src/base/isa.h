// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace qstore::base {

/// Instruction sets that there are kernels for, each with all below it.
enum class Isa : uint8_t {
  kScalar,
  kAvx2,    ///< With BMI, BMI2, LZCNT and POPCNT.
  kAvx512,  ///< F, BW, DQ, VL, VBMI, VBMI2 and GFNI: Intel Ice Lake, AMD Zen 4, and later.
};

/// Whether this machine has it.
bool HasIsa(Isa isa);

/// Whether PDEP and PEXT take a few cycles. AMD processors before Zen 3 have them, but as loops of
/// microcode.
bool HasFastDeposit();

/// "scalar", "avx2", "avx512": what QSTORE_ISA has for it.
const char* IsaName(Isa isa);

/// The best this machine has, or the one that QSTORE_ISA ("scalar", "avx2", "avx512") names when it
/// has that. Fixed at first use. Thread-safe.
Isa ActiveIsa();

}  // namespace qstore::base
