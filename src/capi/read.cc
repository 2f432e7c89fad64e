// SPDX-License-Identifier: Apache-2.0
#include <span>
#include <vector>

#include "base/status_macros.h"
#include "capi/error.h"
#include "capi/handle.h"
#include "capi/structures.h"
#include "qstore/verify.h"

namespace qstore::capi {
namespace {

Result<std::span<std::byte>> Buffer(void* out, size_t size, const char* function) {
  if (size != 0) QSTORE_TRY(Need(out, function, "out"));
  return std::span(static_cast<std::byte*>(out), size);
}

ProgressCallback Callback(qstore_progress progress, void* context) {
  if (progress == nullptr) return {};
  return [progress, context](const Progress& state) {
    return progress(context, state.done_bytes, state.total_bytes) != 0;
  };
}

Status Read(const qstore_archive* archive, const qstore_request* given, size_t count,
            const qstore_read_options* how) {
  QSTORE_TRY(Need(archive, "qstore_read", "archive"));
  if (count != 0) QSTORE_TRY(Need(given, "qstore_read", "requests"));
  QSTORE_ASSIGN(const qstore_read_options options, Take(how, "qstore_read_options"));
  std::vector<ReadRequest> requests;
  requests.reserve(count);
  for (const qstore_request& request : std::span(given, count)) {
    QSTORE_ASSIGN(const auto out, Buffer(request.out, request.out_size, "qstore_read"));
    requests.push_back({request.tensor, out, request.row_begin, request.row_end});
  }
  return archive->archive.Read(requests, options.threads,
                               Callback(options.progress, options.context));
}

Status ReadFile(const qstore_archive* archive, size_t file, uint64_t begin, void* out, size_t size,
                uint32_t threads) {
  QSTORE_TRY(Need(archive, "qstore_read_file", "archive"));
  QSTORE_TRY(archive->CheckFile(file));
  QSTORE_ASSIGN(const auto bytes, Buffer(out, size, "qstore_read_file"));
  return archive->archive.ReadFile(file, begin, bytes, threads);
}

Status VerifyArchive(const qstore_archive* archive, const qstore_verify_options* how) {
  QSTORE_TRY(Need(archive, "qstore_verify", "archive"));
  QSTORE_ASSIGN(const qstore_verify_options given, Take(how, "qstore_verify_options"));
  VerifyOptions options;
  options.threads = given.threads;
  if (given.max_bytes != 0) options.max_bytes = given.max_bytes;
  options.progress = Callback(given.progress, given.context);
  return Verify(archive->archive, {}, options).status();
}

}  // namespace
}  // namespace qstore::capi

qstore_code qstore_read_tensor(const qstore_archive* archive, size_t tensor, void* out,
                               size_t out_size, uint32_t threads, qstore_error** error) {
  return qstore_read_rows(archive, tensor, 0, QSTORE_ALL_ROWS, out, out_size, threads, error);
}

qstore_code qstore_rows_byte_size(const qstore_archive* archive, size_t tensor, uint64_t row_begin,
                                  uint64_t row_end, uint64_t* byte_size, qstore_error** error) {
  using namespace qstore;
  return capi::Run(error, [&]() -> Status {
    QSTORE_TRY(capi::Need(archive, "qstore_rows_byte_size", "archive"));
    QSTORE_TRY(capi::Need(byte_size, "qstore_rows_byte_size", "byte_size"));
    QSTORE_ASSIGN(*byte_size, archive->archive.RowsByteSize(tensor, row_begin, row_end));
    return {};
  });
}

qstore_code qstore_read_rows(const qstore_archive* archive, size_t tensor, uint64_t row_begin,
                             uint64_t row_end, void* out, size_t out_size, uint32_t threads,
                             qstore_error** error) {
  const qstore_request request = {tensor, out, out_size, row_begin, row_end};
  qstore_read_options options = {};
  options.size = sizeof(options);
  options.threads = threads;
  return qstore_read(archive, &request, 1, &options, error);
}

qstore_code qstore_read(const qstore_archive* archive, const qstore_request* requests, size_t count,
                        const qstore_read_options* options, qstore_error** error) {
  return qstore::capi::Run(error,
                           [&] { return qstore::capi::Read(archive, requests, count, options); });
}

qstore_code qstore_read_file(const qstore_archive* archive, size_t file, uint64_t begin, void* out,
                             size_t out_size, uint32_t threads, qstore_error** error) {
  return qstore::capi::Run(
      error, [&] { return qstore::capi::ReadFile(archive, file, begin, out, out_size, threads); });
}

qstore_code qstore_verify(const qstore_archive* archive, const qstore_verify_options* options,
                          qstore_error** error) {
  return qstore::capi::Run(error, [&] { return qstore::capi::VerifyArchive(archive, options); });
}
