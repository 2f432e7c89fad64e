// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace qstore::io {

inline constexpr std::string_view kTemporaryPrefix = ".qstore-";
inline constexpr std::string_view kTemporarySuffix = ".tmp";

/// A hidden name that nobody else is likely to choose: ".qstore-", 16 random hexadecimal digits,
/// ".tmp". Of its own, since a prefix of the final name could exceed the length a name may have.
std::string RandomName();

}  // namespace qstore::io
