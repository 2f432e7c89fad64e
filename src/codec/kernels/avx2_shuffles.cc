// SPDX-License-Identifier: Apache-2.0
#define QSTORE_NO_DEPOSIT

#include "codec/kernels/avx2_table.h"

// For processors that have what avx2.cc needs, but slow PDEP and PEXT.

namespace qstore::codec {

const Kernels kAvx2ShuffleKernels = Avx2Table("avx2_shuffles");

}  // namespace qstore::codec
