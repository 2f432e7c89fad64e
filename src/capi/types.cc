// SPDX-License-Identifier: Apache-2.0
#include "qstore.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::capi {
namespace {

constexpr bool IsType(qstore_dtype dtype, DType same) {
  return static_cast<unsigned>(dtype) == static_cast<unsigned>(same);
}
static_assert(IsType(QSTORE_BOOL, DType::kBool) && IsType(QSTORE_F4, DType::kF4));
static_assert(IsType(QSTORE_F6_E2M3, DType::kF6E2M3) && IsType(QSTORE_F6_E3M2, DType::kF6E3M2));
static_assert(IsType(QSTORE_U8, DType::kU8) && IsType(QSTORE_I8, DType::kI8));
static_assert(IsType(QSTORE_F8_E5M2, DType::kF8E5M2) && IsType(QSTORE_F8_E4M3, DType::kF8E4M3));
static_assert(IsType(QSTORE_F8_E8M0, DType::kF8E8M0));
static_assert(IsType(QSTORE_F8_E4M3FNUZ, DType::kF8E4M3Fnuz));
static_assert(IsType(QSTORE_F8_E5M2FNUZ, DType::kF8E5M2Fnuz));
static_assert(IsType(QSTORE_I16, DType::kI16) && IsType(QSTORE_U16, DType::kU16));
static_assert(IsType(QSTORE_F16, DType::kF16) && IsType(QSTORE_BF16, DType::kBF16));
static_assert(IsType(QSTORE_I32, DType::kI32) && IsType(QSTORE_U32, DType::kU32));
static_assert(IsType(QSTORE_F32, DType::kF32) && IsType(QSTORE_C64, DType::kC64));
static_assert(IsType(QSTORE_F64, DType::kF64) && IsType(QSTORE_I64, DType::kI64));
static_assert(IsType(QSTORE_U64, DType::kU64));

}  // namespace
}  // namespace qstore::capi

// Names of codes and types are literals, which end in NUL.

const char* qstore_code_name(uint32_t code) {
  if (code > QSTORE_INTERNAL) return nullptr;
  return qstore::ErrorCodeName(static_cast<qstore::ErrorCode>(code)).data();
}

const char* qstore_dtype_name(uint32_t dtype) {
  if (dtype >= qstore::kDTypeCount) return nullptr;
  return qstore::DTypeName(static_cast<qstore::DType>(dtype)).data();
}

uint32_t qstore_dtype_bits(uint32_t dtype) {
  return dtype < qstore::kDTypeCount ? qstore::DTypeBits(static_cast<qstore::DType>(dtype)) : 0;
}

uint32_t qstore_dtype_block(uint32_t dtype) {
  return dtype < qstore::kDTypeCount ? qstore::DTypeBlock(static_cast<qstore::DType>(dtype)) : 0;
}
