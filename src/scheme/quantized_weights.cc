// SPDX-License-Identifier: Apache-2.0
#include "scheme/quantized_weights.h"

#include "base/bytes.h"
#include "base/status_macros.h"

namespace qstore::scheme {

Result<std::vector<uint32_t>> ReadPatterns(const PartReader& read, size_t part, DType dtype,
                                           uint64_t count) {
  const size_t width = DTypeBits(dtype) / 8;
  std::vector<std::byte> raw(static_cast<size_t>(count) * width);
  QSTORE_TRY(read(part, 0, raw));
  std::vector<uint32_t> patterns(static_cast<size_t>(count));
  for (size_t i = 0; i < patterns.size(); ++i) {
    const std::byte* at = raw.data() + i * width;
    patterns[i] = width == 2 ? base::LoadLe<uint16_t>(at) : base::LoadLe<uint32_t>(at);
  }
  return patterns;
}

}  // namespace qstore::scheme
