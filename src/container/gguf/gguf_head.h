// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

// The head of a GGUF file: counts, metadata by key, and what tensors there are.
// docs/format-ggml.md, "GGUF". The format: ggml (MIT), docs/gguf.md.

namespace qstore::container {

/// Types of values of the metadata.
enum class GgufType : uint32_t {
  kU8 = 0,
  kI8 = 1,
  kU16 = 2,
  kI16 = 3,
  kU32 = 4,
  kI32 = 5,
  kF32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kU64 = 10,
  kI64 = 11,
  kF64 = 12,
};

/// A value of the metadata, as a place in the file.
struct GgufValue {
  std::string_view key;
  GgufType type = GgufType::kU8;
  uint64_t begin = 0;  ///< Behind the type; of an array, with the type and number of its elements.
  uint64_t end = 0;
  std::optional<uint64_t> number;  ///< Of a whole number that is not negative.
};

struct GgufTensor {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;  ///< The outermost dimension first, as everywhere here.
  uint64_t offset = 0;              ///< Of its content, from the begin of the data on.
  uint64_t size = 0;                ///< Bytes of content.
};

/// What gets the parts of a head, each for the time of the call.
struct GgufVisitor {
  std::function<Status(const GgufValue& value)> value;
  std::function<Status(const GgufTensor& tensor)> tensor;
};

/// Most bytes of a head. Vocabularies are its largest part, and have some ten million.
inline constexpr uint64_t kMaxGgufHead = uint64_t{1} << 27;

/// Where things are in a file.
struct GgufHead {
  uint32_t version = 0;
  uint64_t value_count = 0;
  uint64_t tensor_count = 0;
  uint64_t tensors_begin = 0;  ///< Of the list of tensors, behind the metadata.
  uint64_t tensors_end = 0;
  uint64_t alignment = 0;
  /// Where the content of tensors begins: `tensors_end`, rounded up to `alignment`.
  uint64_t data_begin = 0;
};

/// Reads a head from the begin of `file` on; a value that is skipped is not held. Takes time in
/// proportion to the head, and holds the names of keys and tensors.
/// Errors: kCorrupt naming the rule, those of `file` and of the visitor.
Result<GgufHead> ReadGgufHead(const ByteSource& file, const GgufVisitor& visitor);

}  // namespace qstore::container
