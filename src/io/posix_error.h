// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/status.h"

namespace qstore::io {

/// "PATH: ACTION: No space left on device" for an errno value; kNotFound when a part of the path is
/// missing, otherwise kIo.
Status SystemError(const std::filesystem::path& path, std::string_view action, int error);

/// openat, begun again when a signal interrupts it.
int OpenAt(int directory, const char* name, int flags, unsigned mode = 0);

/// The names in a directory, in no order. Unlike the iterator of the standard library it begins
/// again when a signal interrupts it, and does not end the process when there is no memory.
Result<std::vector<std::string>> ListDirectory(const std::filesystem::path& path);

}  // namespace qstore::io
