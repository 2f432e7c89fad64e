// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "analyze/layers.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// The tensors of one variant by name; of several with one name the first counts.
using TensorMap = std::map<std::string, TensorAt, std::less<>>;

/// All tensors of a model directory or file. Errors: as FindLayers.
Result<TensorMap> ReadTensors(const std::filesystem::path& path);

/// The module that `name` is the matrix of weights of, when it may be one: "P.weight" with two
/// dimensions or more, "P.qweight".
std::string_view ModuleOf(std::string_view name, const TensorAt& tensor);

/// How these tensors hold the module. Errors: kInvalidArgument, with the reason why they do not.
Result<Level> FindLevel(const TensorMap& tensors, const std::string& module);

}  // namespace qstore::analyze
