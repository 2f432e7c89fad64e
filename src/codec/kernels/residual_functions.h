// SPDX-License-Identifier: Apache-2.0
// No include guard: the functions of one instruction set, for the source that names it.
#include "codec/kernels/internal.h"
#include "codec/kernels/residual_loops.h"

namespace qstore::codec::QSTORE_KERNEL_ISA {

void Residual16(const uint8_t* q, const uint8_t* nibbles, size_t count, const ResidualRun* run,
                BitCursor* low_bits, BitCursor* extra_bits, uint8_t* out) {
  loops::Residual16(q, nibbles, count, run, low_bits, extra_bits, out);
}

void PutResidual16(const uint8_t* q, const uint8_t* values, size_t count, const ResidualRun* run,
                   uint32_t place, ResidualSinks* sinks, uint8_t* nibbles) {
  loops::PutResidual16(q, values, count, run, place, sinks, nibbles);
}

void IntegerResidual(const uint8_t* parent, const uint8_t* nibbles, const uint8_t* low,
                     size_t count, const IntegerRun* run, uint8_t* q) {
  loops::IntegerResidual(parent, nibbles, low, count, run, q);
}

void PutIntegerResidual(const uint8_t* parent, const uint8_t* q, size_t count,
                        const IntegerRun* run, uint8_t* nibbles, uint8_t* low, uint8_t* listed) {
  loops::PutIntegerResidual(parent, q, count, run, nibbles, low, listed);
}

}  // namespace qstore::codec::QSTORE_KERNEL_ISA
