// SPDX-License-Identifier: Apache-2.0
#define QSTORE_KERNEL_ISA avx512
#include "codec/kernels/residual_functions.h"
