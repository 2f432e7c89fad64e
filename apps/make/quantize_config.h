// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "make/format_config.h"
#include "qstore/status.h"
#include "qstore_apps/quantize.h"

namespace qstore::make {

/// Whether a target quantizes matrices, and does not cast every float.
inline bool Quantizes(QuantizeTarget target) {
  return target == QuantizeTarget::kLlmInt8 || target == QuantizeTarget::kFormat;
}

/// A config.json as transformers would write it for the quantized or cast model.
/// Errors: kCorrupt (not a JSON object), kInvalidArgument (quantized already, transposed layers).
Result<std::string> RewriteConfig(std::string_view text, const QuantizeOptions& options,
                                  const SkippedModules& skipped);

}  // namespace qstore::make
