// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace qstore::make {

/// Modules that are not quantized though they hold a matrix "P.weight".
struct SkippedModules {
  std::vector<std::string> all;
  /// Those of them that are no embedding by their names.
  std::vector<std::string> linear;
  /// Whether these are others than a library would skip by itself.
  bool departs = false;
};

/// The quantization_config, JSON, that the tool writes which makes the format: with `format` one of
/// qstore::RoundFormats(), or "llm-int8".
std::string QuantizationConfig(std::string_view format, const SkippedModules& skipped);

}  // namespace qstore::make
