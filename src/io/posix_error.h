// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
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

/// Reads from `offset` of `fd` until `out` is full or the file ends. Returns: the bytes read.
/// Errors: kIo, naming `path` and the offset.
Result<size_t> ReadAt(int fd, const std::filesystem::path& path, uint64_t offset,
                      std::span<std::byte> out);

/// The names in a directory, in no order. Unlike the iterator of the standard library it begins
/// again when a signal interrupts it, and does not end the process when there is no memory.
Result<std::vector<std::string>> ListDirectory(const std::filesystem::path& path);

}  // namespace qstore::io
