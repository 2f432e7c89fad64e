// SPDX-License-Identifier: Apache-2.0
#include "capi/error.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

// Its message lies behind it, in the same piece of memory.
struct qstore_error {
  qstore_code code;
  const char* message;
};

namespace qstore::capi {
namespace {

constexpr bool IsCode(qstore_code code, ErrorCode same) {
  return static_cast<unsigned>(code) == static_cast<unsigned>(same);
}
static_assert(IsCode(QSTORE_OK, ErrorCode::kOk));
static_assert(IsCode(QSTORE_INVALID_ARGUMENT, ErrorCode::kInvalidArgument));
static_assert(IsCode(QSTORE_NOT_FOUND, ErrorCode::kNotFound));
static_assert(IsCode(QSTORE_ALREADY_EXISTS, ErrorCode::kAlreadyExists));
static_assert(IsCode(QSTORE_IO, ErrorCode::kIo));
static_assert(IsCode(QSTORE_CORRUPT, ErrorCode::kCorrupt));
static_assert(IsCode(QSTORE_MISMATCH, ErrorCode::kMismatch));
static_assert(IsCode(QSTORE_UNSUPPORTED_VERSION, ErrorCode::kUnsupportedVersion));
static_assert(IsCode(QSTORE_UNSUPPORTED_FEATURE, ErrorCode::kUnsupportedFeature));
static_assert(IsCode(QSTORE_LIMIT, ErrorCode::kLimit));
static_assert(IsCode(QSTORE_SOURCE_CHANGED, ErrorCode::kSourceChanged));
static_assert(IsCode(QSTORE_CANCELLED, ErrorCode::kCancelled));
static_assert(IsCode(QSTORE_INTERNAL, ErrorCode::kInternal));

constinit qstore_error out_of_memory = {QSTORE_LIMIT, "out of memory"};

}  // namespace

qstore_code Give(const Status& status, qstore_error** error) noexcept {
  const auto code = static_cast<qstore_code>(status.code());
  if (error == nullptr) return code;
  *error = nullptr;
  if (status.ok()) return code;
  const std::string& message = status.message();
  void* const memory = std::malloc(sizeof(qstore_error) + message.size() + 1);
  if (memory == nullptr) {
    *error = &out_of_memory;
    return out_of_memory.code;
  }
  char* const text = static_cast<char*>(memory) + sizeof(qstore_error);
  std::memcpy(text, message.c_str(), message.size() + 1);
  *error = new (memory) qstore_error{code, text};
  return code;
}

Status Need(const void* pointer, const char* function, const char* name) {
  if (pointer != nullptr) return {};
  return InvalidArgument(std::string(function) + ": " + name + " is NULL");
}

}  // namespace qstore::capi

qstore_code qstore_error_code(const qstore_error* error) {
  return error == nullptr ? QSTORE_OK : error->code;
}

const char* qstore_error_message(const qstore_error* error) {
  return error == nullptr ? "" : error->message;
}

void qstore_error_free(qstore_error* error) {
  if (error != &qstore::capi::out_of_memory) std::free(error);
}
