// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "qstore/byte_source.h"
#include "qstore/gguf.h"
#include "qstore/status.h"

// Values of the metadata of a GGUF file.

namespace qstore::make {

/// What a file begins with.
inline constexpr std::string_view kGgufMagic = "GGUF";

/// Types of values that are named here.
inline constexpr uint32_t kGgufU32 = 4;
inline constexpr uint32_t kGgufString = 8;
inline constexpr uint32_t kGgufArray = 9;

/// The entry of that key, or null.
const GgufEntry* FindEntry(const GgufContents& contents, std::string_view key);

/// A whole number that is not negative, or the first of an array of such; else nothing.
Result<std::optional<uint64_t>> WholeNumber(const ByteSource& file, const GgufEntry& entry);

/// A string, or the first of an array of strings; else nothing.
Result<std::optional<std::string>> FirstString(const ByteSource& file, const GgufEntry& entry);

}  // namespace qstore::make
