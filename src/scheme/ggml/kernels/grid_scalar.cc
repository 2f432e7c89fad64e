// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/kernels/grid_loops.h"

namespace qstore::scheme::ggml {

const GridKernels kScalarGrid = kGridLoops;

}  // namespace qstore::scheme::ggml
