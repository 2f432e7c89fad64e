// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "qstore/export.h"

namespace qstore {

/// Element types, by their safetensors names.
/// On disk: do not change the values of existing entries, they are part of the persistent format.
enum class DType : uint8_t {
  kBool = 0,
  kF4 = 1,
  kF6E2M3 = 2,
  kF6E3M2 = 3,
  kU8 = 4,
  kI8 = 5,
  kF8E5M2 = 6,
  kF8E4M3 = 7,
  kF8E8M0 = 8,
  kF8E4M3Fnuz = 9,
  kF8E5M2Fnuz = 10,
  kI16 = 11,
  kU16 = 12,
  kF16 = 13,
  kBF16 = 14,
  kI32 = 15,
  kU32 = 16,
  kF32 = 17,
  kC64 = 18,
  kF64 = 19,
  kI64 = 20,
  kU64 = 21,
};
inline constexpr unsigned kDTypeCount = 22;

/// Bits of one element: 4 for F4, 6 for the F6 types, otherwise a multiple of 8.
QSTORE_EXPORT unsigned DTypeBits(DType dtype);
/// The safetensors name, for example "BF16", "F8_E4M3", "F6_E2M3".
QSTORE_EXPORT std::string_view DTypeName(DType dtype);
/// The type of that exact safetensors name, or nothing.
QSTORE_EXPORT std::optional<DType> DTypeFromName(std::string_view name);

}  // namespace qstore
