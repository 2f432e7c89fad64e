// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

#include "qstore.h"
#include "qstore/status.h"

// Structures that grow: their first field says how many bytes of one the caller knows.

namespace qstore::capi {

/// Bytes of a structure as it first was.
/// NOTE: does not change when a structure grows. A new field begins behind the old sizeof, so that
/// none lies where an earlier caller has padding.
template <class Structure>
inline constexpr size_t kFirstSize = 0;
template <>
inline constexpr size_t kFirstSize<qstore_open_options> = offsetof(qstore_open_options,
                                                                   http_certificates) +
                                                          sizeof(const char*);
template <>
inline constexpr size_t kFirstSize<qstore_read_options> = offsetof(qstore_read_options, context) +
                                                          sizeof(void*);
template <>
inline constexpr size_t kFirstSize<qstore_verify_options> = offsetof(qstore_verify_options,
                                                                     context) +
                                                            sizeof(void*);
template <>
inline constexpr size_t kFirstSize<qstore_variant_info> = offsetof(qstore_variant_info,
                                                                   tensor_count) +
                                                          sizeof(size_t);
template <>
inline constexpr size_t kFirstSize<qstore_file_info> = offsetof(qstore_file_info, is_executable) +
                                                       sizeof(uint8_t);
template <>
inline constexpr size_t kFirstSize<qstore_tensor_info> = offsetof(qstore_tensor_info, file) +
                                                         sizeof(size_t);

template <class Structure>
Status CheckSize(const Structure& given, const char* name) {
  if (given.size >= kFirstSize<Structure>) return {};
  return InvalidArgument(std::string(name) + ": its field size is " + std::to_string(given.size) +
                         ", not that of the structure");
}

/// What the caller set, zeros elsewhere; all zeros for null. Errors: kInvalidArgument, where a
/// field is set that came later than this library.
template <class Structure>
Result<Structure> Take(const Structure* given, const char* name) {
  Structure taken = {};
  if (given == nullptr) return taken;
  if (auto status = CheckSize(*given, name); !status.ok()) return status;
  const char* const bytes = reinterpret_cast<const char*>(given);
  std::memcpy(&taken, bytes, std::min(given->size, sizeof(Structure)));
  for (size_t i = sizeof(Structure); i < given->size; ++i) {
    if (bytes[i] == 0) continue;
    return InvalidArgument(std::string(name) + ": a field is set that this library does not know");
  }
  return taken;
}

/// Fills as much of `*out` as its caller knows. Errors: kInvalidArgument.
template <class Structure>
Status Fill(Structure filled, Structure* out, const char* name) {
  if (auto status = CheckSize(*out, name); !status.ok()) return status;
  filled.size = out->size;
  std::memcpy(static_cast<void*>(out), &filled, std::min(out->size, sizeof(Structure)));
  return {};
}

}  // namespace qstore::capi
