// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"
#include "qstore_apps/quantize.h"

// The names of precisions to make of a model, in lower case.

namespace qstore::make {

/// The target of Quantize that has this name, or nothing. That of a format of <qstore/round.h> is
/// kFormat, with this name for QuantizeOptions::format.
std::optional<QuantizeTarget> QuantizeTargetOf(std::string_view name);

/// The names of all targets of Quantize.
std::vector<std::string_view> QuantizeTargetNames();

/// The items of a list with commas between.
std::vector<std::string> SplitAtCommas(std::string_view text);

/// For calibrated targets the model must run. So this program of the Python package makes them,
/// which takes the options of `qstore quantize`.
inline constexpr char kCalibratedProgram[] = "qstore-quantize-gptq";

/// The calibrated targets that `to` asks for, as the package takes them: "gptq-8bit,gptq-4bit".
/// `to` is such a list, or "gptq" with the list "8,4" in `bits`, which is empty otherwise. Returns:
/// nothing when no item of `to` begins as these targets do. Errors: kInvalidArgument, in the words
/// of `qstore quantize`; also for lists of which only a part are such targets.
Result<std::optional<std::string>> CalibratedTargets(std::string_view to, std::string_view bits);

/// The names of all targets, with commas between, for people.
std::string TargetNames();

}  // namespace qstore::make
