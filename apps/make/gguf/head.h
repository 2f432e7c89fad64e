// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "make/gguf/importance.h"
#include "make/gguf/targets.h"
#include "qstore/byte_source.h"
#include "qstore/gguf.h"
#include "qstore/status.h"

namespace qstore::make {

/// The head of a file that llama-quantize writes: the values of `source`, but those that tell the
/// file type, the version of quantization and of which parts a file is; behind them the new ones,
/// and those about the importance when it is given. Then the tensors, and zeros up to where their
/// contents begin. Sets where each tensor begins in the file, and `file_size`.
/// docs/format-ggml.md, "Files".
Result<std::vector<std::byte>> MakeGgufHead(const ByteSource& source, const GgufContents& contents,
                                            const GgufTarget& target, const Importance& importance,
                                            std::vector<GgufItem>* tensors, uint64_t* file_size);

}  // namespace qstore::make
