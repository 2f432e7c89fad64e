// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include "qstore/status.h"
#include "remote/http_connection.h"

namespace qstore::remote {

/// Connections that nobody uses at the moment. Thread-safe, and without locks, which would not be
/// released in a child of a fork; there, connections of the parent are left alone.
class ConnectionPool {
 public:
  void set_settings(HttpSettings settings) { settings_ = std::move(settings); }
  ~ConnectionPool();

  /// One that is free, or a new one. Errors: kLimit.
  Result<std::unique_ptr<HttpConnection>> Take() const;
  /// Keeps it, unless there are many.
  void GiveBack(std::unique_ptr<HttpConnection> connection) const;

 private:
  static constexpr size_t kMostIdle = 32;
  HttpSettings settings_;
  mutable std::array<std::atomic<HttpConnection*>, kMostIdle> idle_{};
};

}  // namespace qstore::remote
