// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "qstore/export.h"

namespace qstore {

/// What kind of rule an operation broke. The values are stable: bindings map them one to one.
enum class ErrorCode : uint8_t {
  kOk = 0,
  kInvalidArgument = 1,     ///< The caller asked for something that has no meaning.
  kNotFound = 2,            ///< A path, variant or tensor that is not there.
  kAlreadyExists = 3,       ///< An output is there already and overwriting was not allowed.
  kIo = 4,                  ///< The operating system refused or failed a read or write.
  kCorrupt = 5,             ///< Bytes that no writer of this format produces.
  kMismatch = 6,            ///< Intact data that differs from what it was compared with.
  kUnsupportedVersion = 7,  ///< An archive of a later format version.
  kUnsupportedFeature = 8,  ///< An archive that uses a codec or flag unknown here.
  kLimit = 9,               ///< A size beyond what this reader accepts.
  kSourceChanged = 10,      ///< An input file changed while it was being read.
  kCancelled = 11,          ///< The progress callback asked to stop.
  kInternal = 12,           ///< A defect in this library.
};

/// The stable lower-case name of `code`, for example "corrupt".
QSTORE_EXPORT std::string_view ErrorCodeName(ErrorCode code);

/// Success, or an ErrorCode with one message for people. One pointer wide; null means success.
/// Thread-safety: a const Status may be read from many threads.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorCode code, std::string message)
      : rep_(code == ErrorCode::kOk ? nullptr
                                    : std::make_shared<const Rep>(Rep{code, std::move(message)})) {}

  bool ok() const { return rep_ == nullptr; }
  ErrorCode code() const { return rep_ ? rep_->code : ErrorCode::kOk; }
  /// Empty on success.
  QSTORE_EXPORT const std::string& message() const;
  /// "corrupt: m.qstore: chunk 3 of tensor x: checksum differs", or "ok".
  QSTORE_EXPORT std::string ToString() const;
  /// The same error with `context` and ": " put before the message; success stays success.
  QSTORE_EXPORT Status WithContext(std::string_view context) const;

 private:
  struct Rep {
    ErrorCode code;
    std::string message;
  };
  std::shared_ptr<const Rep> rep_;
};

inline Status InvalidArgument(std::string m) { return {ErrorCode::kInvalidArgument, std::move(m)}; }
inline Status NotFound(std::string m) { return {ErrorCode::kNotFound, std::move(m)}; }
inline Status AlreadyExists(std::string m) { return {ErrorCode::kAlreadyExists, std::move(m)}; }
inline Status IoError(std::string m) { return {ErrorCode::kIo, std::move(m)}; }
inline Status Corrupt(std::string m) { return {ErrorCode::kCorrupt, std::move(m)}; }
inline Status Mismatch(std::string m) { return {ErrorCode::kMismatch, std::move(m)}; }
inline Status LimitExceeded(std::string m) { return {ErrorCode::kLimit, std::move(m)}; }
inline Status SourceChanged(std::string m) { return {ErrorCode::kSourceChanged, std::move(m)}; }
inline Status Cancelled() { return {ErrorCode::kCancelled, "stopped on request"}; }
inline Status InternalError(std::string m) { return {ErrorCode::kInternal, std::move(m)}; }

/// A value or the error that prevented it.
/// REQUIRES: value access only when ok().
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}         // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok()) status_ = InternalError("Result made from a success without a value");
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace qstore
