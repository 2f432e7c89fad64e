// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "qstore/status.h"

namespace qstore::format {

/// A variant's name: 1 to 255 of A-Z a-z 0-9 . _ + - and neither . nor - in front.
/// kInvalidArgument names the rule broken.
Status CheckVariantName(std::string_view name);

/// A file's path inside a variant: relative, '/' between components, none of them empty, "." or
/// "..", without backslashes or control characters (NUL among them), at most kMaxPathBytes.
/// kInvalidArgument names the rule broken.
Status CheckPath(std::string_view path);

/// The order of files in a variant: by bytes, with '/' before every other byte, so that everything
/// below a folder follows the place where a file of the folder's name would stand.
bool PathLess(std::string_view a, std::string_view b);

/// Whether `path` lies below a folder of the name `folder`.
bool LiesBelow(std::string_view path, std::string_view folder);

}  // namespace qstore::format
