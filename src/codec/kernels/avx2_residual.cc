// SPDX-License-Identifier: Apache-2.0
#define QSTORE_KERNEL_ISA avx2
#include "codec/kernels/residual_functions.h"
