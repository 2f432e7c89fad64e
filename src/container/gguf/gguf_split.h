// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "container/container.h"

namespace qstore::container {

/// What the path of a file, without extension, says of the model: llama.cpp names the files of one
/// that is split "NAME-00001-of-00003". Other names are of models in one file.
ModelPart GgufPartOf(std::string_view path);

/// The inverse, for any number of the model.
std::string GgufPathOf(const ModelPart& part, uint32_t number);

}  // namespace qstore::container
