// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/status.h"

namespace qstore::cli {

/// What a URL names, read by the program qstore-source of the Python package, which knows all that
/// fsspec does. It runs beside the command and answers by several sockets, one request at a time
/// each. Thread-safe.
class ProgramSource final : public ByteSource {
 public:
  /// Starts the program. REQUIRES: no other thread runs yet. Errors: kNotFound, telling what to
  /// install; what the program tells.
  static Result<std::shared_ptr<const ProgramSource>> Open(const std::string& url);
  ~ProgramSource() override;
  ProgramSource(const ProgramSource&) = delete;
  ProgramSource& operator=(const ProgramSource&) = delete;

  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) const override;
  Status CheckUnchanged() const override;
  std::string identity() const override { return identity_; }

 private:
  ProgramSource() = default;
  Status Start(const std::string& program, const std::string& url);
  /// Sends a request by a free socket, and has the answer put into `out`, or `*text` if there is
  /// one.
  Status Ask(uint64_t offset, uint64_t size, std::span<std::byte> out, std::string* text) const;

  std::string name_;
  uint64_t size_ = 0;
  std::string identity_;
  int process_ = -1;
  mutable std::mutex mutex_;
  mutable std::condition_variable freed_;
  mutable std::vector<int> free_;  // Sockets that no request uses.
};

}  // namespace qstore::cli
