// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "qstore/status.h"
#include "qstore_apps/quantize.h"

// The names of precisions to make of a model, in lower case.

namespace qstore::make {

/// The target of Quantize that has this name, or nothing.
std::optional<QuantizeTarget> QuantizeTargetOf(std::string_view name);

/// The method of the calibrated targets, for which the model must run. So the Python package makes
/// them.
inline constexpr char kCalibratedMethod[] = "GPTQ";
/// That module of the package; its `main(arguments)` takes the options of `qstore quantize`.
inline constexpr char kCalibratedModule[] = "qstore.gptq.__main__";

/// The calibrated targets that `to` asks for, as the package takes them: "gptq-8bit,gptq-4bit".
/// `to` is such a list, or "gptq" with the list "8,4" in `bits`, which is empty otherwise. Returns:
/// nothing when `to` neither begins as these targets do nor is a list. Errors: kInvalidArgument, in
/// the words of `qstore quantize`.
Result<std::optional<std::string>> CalibratedTargets(std::string_view to, std::string_view bits);

/// The names of all targets, with commas between, for people.
std::string TargetNames();

}  // namespace qstore::make
