// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace qstore::cli {

/// One line: version, compiler, kind of build, and the instruction set that the kernels use here.
std::string VersionText();

}  // namespace qstore::cli
