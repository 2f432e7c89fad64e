// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/values.h"

#include <algorithm>
#include <span>

#include "base/bytes.h"
#include "base/status_macros.h"

namespace qstore::make {
namespace {

/// A value that is no array.
struct Plain {
  uint32_t type = 0;
  uint64_t begin = 0;
};

// Of an array its first element; nothing of an empty one.
Result<std::optional<Plain>> FirstOf(const ByteSource& file, const GgufEntry& entry) {
  if (entry.type != kGgufArray) return std::optional(Plain{entry.type, entry.begin});
  std::byte head[12];  // The type of the elements, and how many.
  QSTORE_TRY(file.Read(entry.begin, head));
  if (base::LoadLe<uint64_t>(head + 4) == 0) return std::optional<Plain>();
  return std::optional(Plain{base::LoadLe<uint32_t>(head), entry.begin + sizeof(head)});
}

struct WholeType {
  unsigned bytes = 0;
  bool has_sign = false;
};

/// Whole numbers, by the numbers of the types.
std::optional<WholeType> WholeTypeOf(uint32_t type) {
  constexpr uint32_t kSmall = 6;  // U8, I8, U16, I16, U32, I32.
  constexpr uint32_t kU64 = 10;
  constexpr uint32_t kI64 = 11;
  if (type < kSmall) return WholeType{1u << (type / 2), type % 2 == 1};
  if (type == kU64 || type == kI64) return WholeType{8, type == kI64};
  return std::nullopt;
}

}  // namespace

const GgufEntry* FindEntry(const GgufContents& contents, std::string_view key) {
  const auto found = std::find_if(contents.entries.begin(), contents.entries.end(),
                                  [&](const GgufEntry& entry) { return entry.key == key; });
  return found == contents.entries.end() ? nullptr : &*found;
}

Result<std::optional<uint64_t>> WholeNumber(const ByteSource& file, const GgufEntry& entry) {
  QSTORE_ASSIGN(const auto plain, FirstOf(file, entry));
  const auto type = plain ? WholeTypeOf(plain->type) : std::nullopt;
  if (!type) return std::optional<uint64_t>();
  std::byte bytes[8] = {};
  QSTORE_TRY(file.Read(plain->begin, std::span(bytes).first(type->bytes)));
  const auto number = base::LoadLe<uint64_t>(bytes);
  if (type->has_sign && number >> (8 * type->bytes - 1) != 0) return std::optional<uint64_t>();
  return std::optional(number);
}

Result<std::optional<std::string>> FirstString(const ByteSource& file, const GgufEntry& entry) {
  QSTORE_ASSIGN(const auto plain, FirstOf(file, entry));
  if (!plain || plain->type != kGgufString) return std::optional<std::string>();
  std::byte size[8];
  QSTORE_TRY(file.Read(plain->begin, size));
  // The head was read: the string lies in the file.
  std::string text(static_cast<size_t>(base::LoadLe<uint64_t>(size)), '\0');
  QSTORE_TRY(file.Read(plain->begin + sizeof(size), std::as_writable_bytes(std::span(text))));
  return std::optional(std::move(text));
}

}  // namespace qstore::make
