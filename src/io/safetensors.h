// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::io {

struct SafetensorsTensor {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
  uint64_t begin = 0;  ///< Offset of the first byte in the file (not in the data section).
  uint64_t end = 0;    ///< Offset behind the last byte in the file.
};

/// The string pairs of "__metadata__", in the order they are written.
using SafetensorsMetadata = std::vector<std::pair<std::string, std::string>>;

struct SafetensorsHeader {
  uint64_t data_begin = 0;                 ///< 8 + header length: where the data section starts.
  std::vector<SafetensorsTensor> tensors;  ///< By (begin, end); they tile the data without holes.
  SafetensorsMetadata metadata;            ///< Empty too when "__metadata__" is absent.
};

/// Longer headers are refused before anything is allocated for them.
inline constexpr uint64_t kMaxSafetensorsHeader = 100'000'000;

/// Reads and checks the header as the reference reader (safetensors, tensor.rs) does: accepts and
/// refuses the same files. Of several entries with one name the last counts. kCorrupt names the
/// rule broken; a caller that archives then treats the file as opaque. Other errors are those of
/// `file`.
Result<SafetensorsHeader> ReadSafetensorsHeader(const ByteSource& file);

/// Gets the entries of a header in the order of the text, names possibly repeated: then the last
/// one counts. All of them may come once more, from the first one on. `begin` and `end` are the
/// data_offsets as written. May move from the entry.
using SafetensorsEntryTaker = std::function<Status(SafetensorsTensor* entry)>;

/// Reads the JSON of a header by the rules of ReadSafetensorsHeader but those that bind the entries
/// to one another and to the file. Holds one entry at a time, of `max_rank` dimensions at most.
/// Errors: kCorrupt, those of `take`.
Status ReadSafetensorsEntries(std::string_view json, size_t max_rank,
                              const SafetensorsEntryTaker& take);

/// A file to be written: its first bytes, and where the tensors go.
struct SafetensorsLayout {
  std::string prefix;        ///< Length field, JSON and padding: the bytes [0, data_begin).
  SafetensorsHeader header;  ///< Tensors in the order of their bytes.
  uint64_t file_size = 0;
};

/// Lays out tensors as the reference writer does: larger dtypes first, then by name, without holes,
/// the data at a multiple of 8. `begin` and `end` of the tensors given are ignored.
/// Errors: kInvalidArgument (a name given twice or "__metadata__", a size that overflows or is no
/// whole number of bytes), kLimit (header beyond kMaxSafetensorsHeader).
Result<SafetensorsLayout> LayOutSafetensors(std::vector<SafetensorsTensor> tensors,
                                            SafetensorsMetadata metadata);

/// Bytes of a tensor's content. Errors: kCorrupt, when the product overflows 64 bits or is not a
/// whole number of bytes.
Result<uint64_t> TensorByteSize(DType dtype, const std::vector<uint64_t>& shape);

/// `name` between quotes for a message: control characters replaced, long names cut.
std::string QuotedName(std::string_view name);

}  // namespace qstore::io
