// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/export.h"
#include "qstore/status.h"

// What the head of a GGUF file says. The format: ggml (MIT), docs/gguf.md.

namespace qstore {

/// A value of the metadata: its bytes in the file, as they are there.
struct GgufEntry {
  std::string key;
  uint32_t type = 0;   ///< The number that GGUF has for it; 8 is a string, 9 an array.
  uint64_t begin = 0;  ///< Behind the type; of an array, with the type and number of its elements.
  uint64_t end = 0;
};

struct GgufItem {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;  ///< The outermost dimension first.
  uint64_t begin = 0;           ///< Of its content, in the file.
  uint64_t byte_size = 0;
};

/// In the order of the head.
struct GgufContents {
  uint64_t alignment = 0;
  std::vector<GgufEntry> entries;
  std::vector<GgufItem> tensors;
};

/// Reads the head of a file. Errors: kCorrupt (no such head, a tensor that reaches beyond the
/// file), those of `file`.
QSTORE_EXPORT Result<GgufContents> ReadGguf(const ByteSource& file);

/// The number that GGUF files have for a type, or nothing.
QSTORE_EXPORT std::optional<uint32_t> GgufNumberOf(DType dtype);

}  // namespace qstore
