// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace qstore::remote {

/// The head of an answer. Of fields that come twice the first counts; what is absent is empty.
struct HttpHead {
  long status = 0;
  std::string reason;
  std::string content_encoding;
  std::string content_range;
  std::string etag;
  std::string last_modified;
  std::string location;
  std::string retry_after;
  bool is_public = false;  ///< Who sent it has an address of the public internet.

  /// Notes what a line of it says. A status line begins another head: of several only the last is
  /// that of the answer.
  void TakeLine(std::string_view line);
};

}  // namespace qstore::remote
