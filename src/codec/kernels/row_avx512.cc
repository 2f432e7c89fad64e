// SPDX-License-Identifier: Apache-2.0
#include "codec/kernels/row_kernels.h"
#include "codec/kernels/row_loops.h"

namespace qstore::codec {

const RowKernels kAvx512Rows = {AddColumns, ReviseColumns};

}  // namespace qstore::codec
