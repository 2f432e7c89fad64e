// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"

// What llama-imatrix has found: how much each column of a tensor matters.
// docs/format-ggml.md, "Importance".

namespace qstore::make {

struct Importance {
  std::string file;  ///< As the user named it.
  /// By the name of the tensor: a number for each column, of experts one column after the other.
  std::map<std::string, std::vector<float>, std::less<>> columns;
  std::optional<std::string> dataset;  ///< The first of those it was found on.
  uint32_t chunks = 0;

  bool empty() const { return columns.empty(); }
};

/// Reads such a file, a GGUF file or one of the older form.
/// Errors: kNotFound, kIo, kCorrupt (neither of them, or cut off), kInvalidArgument (no entries,
/// infinity or NaN), each naming the file.
Result<Importance> ReadImportance(const std::filesystem::path& path);

}  // namespace qstore::make
