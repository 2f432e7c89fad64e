// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "qstore/status.h"
#include "remote/http_head.h"
#include "remote/url.h"

namespace qstore::remote {

using Clock = std::chrono::steady_clock;

/// A request of a range of bytes.
struct HttpRequest {
  HttpUrl url;
  std::vector<std::string> fields;  ///< "Name: value" of the head.
  uint64_t first = 0;
  uint64_t last = 0;
  Clock::time_point until;      ///< When all of the answer must have come.
  Clock::duration silence{};    ///< For how long nothing may come.
  bool must_be_public = false;  ///< Ask nobody else.
};

/// What came of it.
struct HttpOutcome {
  uint64_t received = 0;    ///< Bytes of the body, in the place that they were for.
  std::string failure;      ///< Why not all of it came; empty when it did.
  bool is_lasting = false;  ///< Asking again will not help, as with a wrong certificate.
};

/// What all connections of a source have in common.
struct HttpSettings {
  std::string certificates;  ///< A file or directory; empty for those libcurl knows.
  std::function<bool(const std::string& address)> is_public_address;
};

/// A handle of libcurl with its connections, kept between requests. Redirects are not followed. Not
/// thread-safe. NOTE: a child of a fork must neither use nor destroy its parent's.
class HttpConnection {
 public:
  /// Told of the head of the answer, before its body. Returns: where the body goes, none to let it
  /// go by. An error breaks the request off.
  using OnHead = std::function<Result<std::span<std::byte>>(const HttpHead& head)>;

  /// Errors: kLimit.
  static Result<std::unique_ptr<HttpConnection>> Make(const HttpSettings& settings);
  ~HttpConnection();
  HttpConnection(const HttpConnection&) = delete;
  HttpConnection& operator=(const HttpConnection&) = delete;

  /// Asks, and receives the answer. `go_on` is asked about ten times a second; false ends it by
  /// kCancelled. Errors: what `on_head` returns; kIo, for somebody who must not be asked; kLimit.
  Result<HttpOutcome> Get(const HttpRequest& request, const std::function<bool()>& go_on,
                          const OnHead& on_head);

  /// Of the process that made it.
  int process() const { return process_; }

 private:
  struct Handles;
  struct Exchange;
  explicit HttpConnection(const HttpSettings& settings);
  Status Prepare(const HttpRequest& request, Exchange* exchange);
  void Run(const HttpRequest& request, const std::function<bool()>& go_on, Exchange* exchange);

  HttpSettings settings_;
  int process_;
  std::unique_ptr<Handles> handles_;
};

}  // namespace qstore::remote
