// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"
#include "qstore_apps/quantize.h"

namespace qstore::make {

/// A config.json as transformers would write it for the quantized or cast model. `skipped` are the
/// modules that transformers must be told not to convert; nothing leaves that to its own rule.
/// Errors: kCorrupt (not a JSON object), kInvalidArgument (quantized already, transposed layers).
Result<std::string> RewriteConfig(std::string_view text, const QuantizeOptions& options,
                                  const std::optional<std::vector<std::string>>& skipped);

}  // namespace qstore::make
