// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/byte_source.h"
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

struct SafetensorsHeader {
  uint64_t data_begin = 0;                 ///< 8 + header length: where the data section starts.
  std::vector<SafetensorsTensor> tensors;  ///< By (begin, end); they tile the data without holes.
};

/// Reads and checks the header as the reference reader (safetensors, tensor.rs) does. kCorrupt
/// names the rule broken; a caller that archives then treats the file as opaque.
Result<SafetensorsHeader> ReadSafetensorsHeader(const base::ByteSource& file);

}  // namespace qstore::io
