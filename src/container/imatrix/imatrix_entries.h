// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::container {

/// What an importance matrix says of one tensor, as places in the file.
struct ImatrixEntry {
  std::string_view name;  ///< Of the tensor that it is about.
  uint64_t calls = 0;     ///< Begin of the number of calls, an I32.
  uint64_t values = 0;    ///< Begin of the values, F32.
  uint32_t count = 0;     ///< Of values.
};

inline constexpr uint64_t kImatrixCallsBytes = 4;
/// Most bytes of a file that are neither calls nor values.
inline constexpr uint64_t kMaxImatrixHead = uint64_t{1} << 22;

/// What of a file the bytes are.
enum class ImatrixBytes { kAll, kWithoutContents };

/// Gets an entry for the time of the call.
using ImatrixVisitor = std::function<Status(const ImatrixEntry& entry)>;

/// Reads the entries of a file, or of one without calls and values, whose places are those in the
/// file all the same. Holds the names.
/// Errors: kCorrupt naming the rule, those of `bytes` and of the visitor.
Status ReadImatrix(const ByteSource& bytes, ImatrixBytes which, const ImatrixVisitor& visit);

}  // namespace qstore::container
