// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/nearest.h"

#include "base/float_convert.h"
#include "codec/kernels/round_kernels.h"
#include "scheme/grid/near_coder.h"

namespace qstore::scheme {

void RoundAll(DType type, size_t count, float* values) {
  if (type == DType::kF16) return codec::ActiveRounding().through_fp16(count, values);
  if (type != DType::kBF16) return;
  for (size_t i = 0; i < count; ++i) values[i] = base::Bf16ToFloat(base::FloatToBf16(values[i]));
}

void CountSteps(const float* values, const float* scales, size_t count, DType quotient,
                float* steps) {
  constexpr float kLimit = 65536.0f;
  for (size_t i = 0; i < count; ++i) {
    const float counted = values[i] / scales[i];
    steps[i] = scales[i] == 0 ? 0.0f : WithoutSmall(counted);
  }
  RoundAll(quotient, count, steps);
  for (size_t i = 0; i < count; ++i) {
    const float least = steps[i] > -kLimit ? steps[i] : -kLimit;
    steps[i] = least < kLimit ? least : kLimit;
  }
}

void FindNearest(const float* steps, const uint8_t* zeros, size_t count, unsigned bits,
                 uint8_t* nearest, uint8_t* places) {
  const auto top = static_cast<float>((1u << bits) - 1);
  constexpr float kMagic = 12582912.0f;  // Rounds half to even below 2^22.
  for (size_t i = 0; i < count; ++i) {
    const auto zero = static_cast<float>(zeros[i]);
    const float rounded = (steps[i] + kMagic - kMagic) + zero;
    const float above = rounded > 0.0f ? rounded : 0.0f;
    const float code = above < top ? above : top;
    nearest[i] = static_cast<uint8_t>(static_cast<int32_t>(code));
    places[i] = NearPlace(steps[i] - (code - zero));
  }
}

}  // namespace qstore::scheme
