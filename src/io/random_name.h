// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace qstore::io {

inline constexpr std::string_view kTemporaryPrefix = ".qstore-";
inline constexpr std::string_view kTemporarySuffix = ".tmp";

inline constexpr size_t kTemporaryDigits = 16;
inline constexpr size_t kTemporaryLength =
    kTemporaryPrefix.size() + kTemporaryDigits + kTemporarySuffix.size();

/// A temporary name, ended by a zero.
using TemporaryName = std::array<char, kTemporaryLength + 1>;

/// A hidden name that nobody else is likely to choose: ".qstore-", 16 random hexadecimal digits,
/// ".tmp". Of its own, since a prefix of the final name could exceed the length a name may have.
/// Needs no memory: names are also made where something is cleaned up.
TemporaryName RandomName();

}  // namespace qstore::io
