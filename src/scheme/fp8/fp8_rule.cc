// SPDX-License-Identifier: Apache-2.0
#include "scheme/fp8/fp8_rule.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "scheme/checks.h"

namespace qstore::scheme {
namespace {

constexpr float kLeastScale = 0x1p-100f;
constexpr uint32_t kLargest = 0x43e00000;      // 448 in F32.
constexpr uint32_t kLeastNormal = 0x3c800000;  // 2^-6.
// Adding this to a number below 2^-6 rounds it to a multiple of 2^-9, half to even.
constexpr float kSubnormal = 0x1p14f;
constexpr uint32_t kNan = 0x7f;

// Patterns are compared as integers, so that compilers make vectors of the loop around this.
inline uint8_t Fp8Of(uint16_t pattern, float scale) {
  const uint32_t magnitude = pattern & 0x7fffu;
  const uint32_t normal = magnitude < 0x80 ? 0 : magnitude;
  const auto quotient = std::bit_cast<uint32_t>(std::bit_cast<float>(normal << 16) / scale);
  const uint32_t bf16 = (quotient + 0x7fff + (quotient >> 16 & 1)) & 0xffff0000u;
  const uint32_t clamped = bf16 < kLargest ? bf16 : kLargest;
  const uint32_t above = ((clamped + 0x7ffff + (clamped >> 20 & 1)) >> 20) - 960;
  const uint32_t below = std::bit_cast<uint32_t>(std::bit_cast<float>(clamped) + kSubnormal) -
                         std::bit_cast<uint32_t>(kSubnormal);
  const uint32_t code = clamped < kLeastNormal ? below : above;
  return static_cast<uint8_t>((magnitude > 0x7f80 ? kNan : code) | (pattern >> 8 & 0x80));
}

// The number that a code of sign 0 stands for.
float ValueOfCode(unsigned code) {
  const auto mantissa = static_cast<float>(code & 7);
  if (code < 8) return mantissa * 0x1p-9f;
  return std::ldexp(8 + mantissa, static_cast<int>(code >> 3) - 10);
}

class E4m3 final : public Grid {
 public:
  bool FindBins(const BinRule& rule, float scale,
                uint32_t first[kMaxMagnitude + 2]) const override {
    first[0] = 0;
    if (!IsFp8Scale(scale) || rule.target != DType::kBF16 || rule.via_fp16) return false;
    constexpr unsigned kTop = 0x7e;  // That of 448.
    const uint32_t infinity = InfinityOf(DType::kBF16);
    for (unsigned k = 1; k <= kTop; ++k) {
      const float boundary = (ValueOfCode(k - 1) + ValueOfCode(k)) / 2 * scale;
      const auto reaches = [&](uint32_t pattern) {
        return Fp8Of(static_cast<uint16_t>(pattern), scale) >= k;
      };
      first[k] = FirstReaching(reaches, PatternNear(DType::kBF16, boundary), infinity);
    }
    std::fill(first + kTop + 1, first + kMaxMagnitude + 2, infinity);
    return true;
  }
};

}  // namespace

bool IsFp8Scale(float scale) { return scale >= kLeastScale && std::isfinite(scale); }

void RoundToFp8(std::span<const std::byte> weights, float scale, uint8_t* codes) {
  const size_t count = weights.size() / 2;
  if (!IsFp8Scale(scale)) {
    std::fill_n(codes, count, uint8_t{0});
    return;
  }
  for (size_t i = 0; i < count; ++i) {
    codes[i] = Fp8Of(base::LoadLe<uint16_t>(weights.data() + 2 * i), scale);
  }
}

const Grid& Fp8Grid() {
  static const E4m3 kGrid;
  return kGrid;
}

float Fp8Scales::at(uint64_t row) const {
  return base::Bf16ToFloat(base::LoadLe<uint16_t>(bytes.data() + 2 * row));
}

Result<uint64_t> Fp8RowElems(const ObjectSpec& tensor, const ObjectSpec& scales) {
  QSTORE_TRY(CheckSmall(scales));
  const uint64_t elems = tensor.elem_count();
  if (elems % tensor.row_elems == 0 && scales.byte_size == 2 * (elems / tensor.row_elems)) {
    return tensor.row_elems;
  }
  if (scales.byte_size == 2) return std::max<uint64_t>(1, elems);
  return Corrupt("FP8: its scales are not one BF16 for all of it or for each row");
}

std::optional<size_t> FindFp8Scale(const TensorDesc& codes, const TensorTable& table) {
  const auto module = ModuleOf(codes.name, "weight");
  if (!module || codes.dtype != DType::kF8E4M3 || codes.shape.size() < 2) return std::nullopt;
  const auto scale = FindIn(table, *module, "weight_scale");
  if (!scale || table.tensor(*scale).dtype != DType::kBF16) return std::nullopt;
  const uint64_t count = ElementCount(table.tensor(*scale).shape);
  if (count != 1 && count != codes.shape[0]) return std::nullopt;
  return scale;
}

}  // namespace qstore::scheme
