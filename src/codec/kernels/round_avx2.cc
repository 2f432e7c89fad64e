// SPDX-License-Identifier: Apache-2.0
#include "codec/kernels/round_loops.h"

namespace qstore::codec {

const RoundKernels kAvx2Rounding = kRoundLoops;

}  // namespace qstore::codec
