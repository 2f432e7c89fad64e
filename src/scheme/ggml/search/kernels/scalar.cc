// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/search/kernels/search_loops.h"

namespace qstore::scheme::ggml {

const SearchKernels kScalarSearch = kSearchLoops;

}  // namespace qstore::scheme::ggml
