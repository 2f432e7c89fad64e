// SPDX-License-Identifier: Apache-2.0
#include "codec/kernels/avx2_table.h"

// Needs AVX2, BMI, BMI2, LZCNT and POPCNT.

namespace qstore::codec {

const Kernels kAvx2Kernels = Avx2Table("avx2");

}  // namespace qstore::codec
