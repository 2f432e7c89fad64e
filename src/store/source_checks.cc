// SPDX-License-Identifier: Apache-2.0
#include "store/source_checks.h"

#include <system_error>

#include "base/status_macros.h"

namespace qstore::store {

Status CheckOutputIsNoInput(std::span<const SourceVariant> variants,
                            const std::filesystem::path& output) {
  std::error_code ignored;
  if (!std::filesystem::exists(output, ignored)) return {};
  for (const SourceVariant& variant : variants) {
    for (const SourceFileEntry& file : variant.files) {
      if (std::filesystem::equivalent(file.source, output, ignored)) {
        return InvalidArgument(output.string() + ": the output is one of the inputs");
      }
    }
  }
  return {};
}

Status CheckSourcesUnchanged(std::span<const SourceVariant> variants) {
  for (const SourceVariant& variant : variants) {
    for (const SourceFileEntry& file : variant.files) {
      if (file.file != nullptr) QSTORE_TRY(file.file->CheckUnchanged());
    }
  }
  return {};
}

uint64_t SourceBytes(std::span<const SourceVariant> variants) {
  uint64_t bytes = 0;
  for (const SourceVariant& variant : variants) {
    for (const SourceFileEntry& file : variant.files) bytes += file.size;
  }
  return bytes;
}

}  // namespace qstore::store
