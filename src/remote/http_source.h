// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/source.h"
#include "qstore/status.h"
#include "remote/addresses.h"
#include "remote/connection_pool.h"
#include "remote/http_connection.h"

namespace qstore::remote {

/// By which a file is known. What a server does not tell is empty.
struct HttpIdentity {
  uint64_t size = 0;
  std::string etag;
  std::string last_modified;

  bool Differs(const HttpIdentity& other) const;
};

/// A file on an HTTP server, read by requests of ranges. Thread-safe; may be used after a fork.
class HttpSource final : public ByteSource {
 public:
  /// `is_public` tells of an IP address whether it is of the public internet.
  /// Errors: those of qstore::OpenSource.
  static Result<std::shared_ptr<const HttpSource>> Open(
      std::string_view url, HttpOptions options,
      std::function<bool(const std::string&)> is_public = IsPublicAddress);
  ~HttpSource() override;
  HttpSource(const HttpSource&) = delete;
  HttpSource& operator=(const HttpSource&) = delete;

  /// For messages; holds no secret.
  const std::string& name() const { return name_; }
  uint64_t size() const override { return identity_.size; }
  /// Errors: kIo, kSourceChanged, kCancelled, kInvalidArgument.
  Status Read(uint64_t offset, std::span<std::byte> out) const override;
  /// An error that keeps from knowing is none.
  Status CheckUnchanged() const override;
  std::string identity() const override;
  void Interrupt() const override { epoch_.fetch_add(1); }

 private:
  struct Target;
  struct Attempt;

  HttpSource(std::string_view url, HttpOptions options);
  Status Prepare(std::string_view url, std::function<bool(const std::string&)> is_public);
  /// Fills `out`; with the first bytes only as far as the file goes. Sets `*filled` to how far.
  Status ReadSome(uint64_t offset, std::span<std::byte> out, uint64_t* filled) const;
  /// Asks once, following redirects.
  Status Ask(Attempt* attempt) const;
  Result<std::span<std::byte>> CheckHead(const HttpHead& head, Attempt* attempt) const;
  Status CheckIdentity(HttpIdentity identity) const;
  Status Pause(const Attempt& attempt, double seconds) const;
  bool GoesOn(uint64_t epoch) const;
  double SecondsFor(uint64_t bytes) const;
  void Remember(const HttpUrl& url, bool must_be_public) const;

  std::string name_;
  HttpOptions options_;
  HttpUrl url_;
  std::vector<std::string> agent_;   // Fields for any server.
  std::vector<std::string> fields_;  // And for that of the URL.
  // Set by the first read, which Open makes.
  mutable bool is_known_ = false;
  mutable HttpIdentity identity_;
  std::vector<std::byte> head_;
  mutable std::atomic<uint64_t> epoch_{0};  // How often reading was interrupted.
  /// Where redirects led to last, null for the URL itself. Locks would not be there after a fork.
  mutable std::atomic<const Target*> target_{nullptr};
  ConnectionPool connections_;
};

}  // namespace qstore::remote
