// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "qstore/status.h"

namespace qstore::io {

/// "PATH: ACTION: No space left on device" for an errno value; kNotFound when a part of the path is
/// missing, otherwise kIo.
Status SystemError(const std::filesystem::path& path, std::string_view action, int error);

}  // namespace qstore::io
