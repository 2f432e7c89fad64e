// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <utility>

#include "base/status_macros.h"
#include "capi/error.h"
#include "capi/handle.h"
#include "capi/structures.h"
#include "qstore/source.h"

namespace qstore::capi {
namespace {

OpenOptions HowToRead(const qstore_open_options& given) {
  OpenOptions options;
  if (given.max_memory != 0) options.max_memory = given.max_memory;
  if (given.read_size != 0) options.read_size = given.read_size;
  options.read_ahead = given.read_ahead;
  return options;
}

Result<HttpOptions> HowToAsk(const qstore_open_options& given) {
  HttpOptions options;
  if (given.http_timeout != 0) options.timeout = given.http_timeout;
  if (given.http_certificates != nullptr) options.certificates = given.http_certificates;
  const char* const* header = given.http_headers;
  while (header != nullptr && header[0] != nullptr) {
    if (header[1] == nullptr) {
      return InvalidArgument("qstore_open: a header of HTTP has a name and no value");
    }
    options.headers.emplace_back(header[0], header[1]);
    header += 2;
  }
  return options;
}

Result<std::unique_ptr<qstore_archive>> Open(const char* location,
                                             const qstore_open_options* given) {
  QSTORE_TRY(Need(location, "qstore_open", "location"));
  QSTORE_ASSIGN(const qstore_open_options options, Take(given, "qstore_open_options"));
  QSTORE_ASSIGN(const HttpOptions http, HowToAsk(options));
  QSTORE_ASSIGN(Archive archive, OpenArchive(location, HowToRead(options), http));
  return std::make_unique<qstore_archive>(std::move(archive));
}

}  // namespace
}  // namespace qstore::capi

qstore_code qstore_open(const char* location, const qstore_open_options* options,
                        qstore_archive** archive, qstore_error** error) {
  using namespace qstore;
  if (archive != nullptr) *archive = nullptr;
  return capi::Run(error, [&]() -> Status {
    QSTORE_TRY(capi::Need(archive, "qstore_open", "archive"));
    QSTORE_ASSIGN(auto opened, capi::Open(location, options));
    *archive = opened.release();
    return {};
  });
}

void qstore_close(qstore_archive* archive) { delete archive; }
