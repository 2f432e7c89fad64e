// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "archive_summary.h"
#include "commands.h"
#include "json_writer.h"

namespace qstore::cli {

struct DocumentParts {
  bool files = false;    ///< "file_list" of each variant.
  bool tensors = false;  ///< "tensor_list" of each variant.
};

/// What an archive holds, as docs/reference/json.md has it. Errors: kLimit.
Result<JsonWriter> ArchiveDocument(const Archive& archive, const ArchiveSummary& summary,
                                   const DocumentParts& parts, const ReadLimits& limits);

}  // namespace qstore::cli
