// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "remote/http_head.h"

namespace qstore::remote {

bool IsRedirect(long status);
/// What may be otherwise at another time.
bool IsPassing(long status);
/// What an address that a server redirected to answers once its signature has expired.
bool IsExpired(long status);

/// "the server answered 403 Forbidden".
std::string Answer(const HttpHead& head);

/// Seconds that it asks to wait; 0 when it does not say, or says a date.
double RetryAfter(const HttpHead& head);

struct ContentRange {
  std::optional<std::pair<uint64_t, uint64_t>> bytes;  ///< First and last; none for "*".
  uint64_t size = 0;                                   ///< Of the whole file.
};

/// None of a text that does not tell all of it.
std::optional<ContentRange> ParseContentRange(std::string_view text);

}  // namespace qstore::remote
