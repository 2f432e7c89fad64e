// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace qstore::apps {

/// Whether `pattern` matches the whole `text`; `*` stands for any run of characters, `?` for one.
bool GlobMatches(std::string_view pattern, std::string_view text);

}  // namespace qstore::apps
