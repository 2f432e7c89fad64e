// SPDX-License-Identifier: Apache-2.0
#include "scheme/delta/kernels/delta_loops.h"

namespace qstore::scheme {

const DeltaKernels kScalarDelta = {loops::Contexts, loops::Apply, loops::Steps};

}  // namespace qstore::scheme
