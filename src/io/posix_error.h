// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>
#include <system_error>

#include "qstore/status.h"

namespace qstore::io {

/// "PATH: ACTION: No space left on device" for an errno value; kNotFound when a part of the path is
/// missing, otherwise kIo.
Status SystemError(const std::filesystem::path& path, std::string_view action, int error);

/// The first entry of a directory, begun again when a signal interrupts that.
std::filesystem::directory_iterator ListDirectory(const std::filesystem::path& path,
                                                  std::error_code* error);

}  // namespace qstore::io
