// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore/archive.h"
#include "qstore/byte_source.h"
#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// How HTTP servers are asked. Proxies are those of the environment (http_proxy, https_proxy,
/// all_proxy, no_proxy). So are certificates (CURL_CA_BUNDLE, REQUESTS_CA_BUNDLE, SSL_CERT_FILE,
/// SSL_CERT_DIR); then come those of the system.
struct HttpOptions {
  /// Names and values that go with every request to the server of the URL, and to no other that it
  /// redirects to.
  std::vector<std::pair<std::string, std::string>> headers;
  double timeout = 30;   ///< Seconds for which a server may be silent.
  unsigned retries = 5;  ///< How often one read is tried again after errors that may pass.
  /// Bytes a second: an answer of n bytes may take `timeout` + n / `least_rate` seconds in all. 0:
  /// any time.
  double least_rate = 4096;
  /// Seconds that a read may take with all its retries. 0: 10 * `timeout` + n / `least_rate`.
  double deadline = 0;
  /// Follow redirects from https to http, and from a public address to a private, link-local or
  /// loopback one.
  bool unsafe_redirects = false;
  /// A file of certificates for where neither environment nor system names any.
  std::string certificates;
  /// When set, asked about ten times a second by each read that waits; false ends it with
  /// kCancelled. Called from many threads at once.
  std::function<bool()> go_on;
};

/// What a path or URL names, open.
struct OpenedSource {
  std::shared_ptr<const ByteSource> source;
  std::string name;        ///< For messages: the path, or the URL without what may be secret.
  bool is_remote = false;  ///< Reads take long to begin.
};

/// Several large reads at once hide how long each takes to begin. They hold 40 MiB at most.
inline constexpr unsigned kRemoteReadAhead = 8;
inline constexpr uint64_t kRemoteReadSize = uint64_t{4} << 20;

/// Whether `location` is no path but a URL, such as "https://host/m.qstore", or a chain of them,
/// such as "simplecache::s3://bucket/m.qstore".
QSTORE_EXPORT bool IsUrl(std::string_view location);

/// A URL without user, password, query and fragment, which may hold what signs requests.
QSTORE_EXPORT std::string WithoutSecrets(std::string_view url);

/// Opens a path, a file URL, or what an HTTP server has at a URL and serves ranges of. Of the
/// latter, what was read fails later with kSourceChanged when size, ETag or Last-Modified are no
/// longer the same; errors that may pass are tried again.
/// Errors, naming it: kNotFound, kIo (a server that serves whole files only, too), kInvalidArgument
/// (a wrong URL or option, a directory), kUnsupportedFeature (a URL of another kind, or a library
/// built without HTTP), kCancelled.
QSTORE_EXPORT Result<OpenedSource> OpenSource(std::string_view location,
                                              const HttpOptions& options = {});

/// Opens the archive at a path or URL. A remote one is read ahead of, unless `options` say how.
/// Errors: those of OpenSource and Archive::Open.
QSTORE_EXPORT Result<Archive> OpenArchive(std::string_view location,
                                          const OpenOptions& options = {},
                                          const HttpOptions& http = {});
/// The same of what was opened by OpenSource, or is a source of one's own.
QSTORE_EXPORT Result<Archive> OpenArchive(const OpenedSource& opened,
                                          const OpenOptions& options = {});

}  // namespace qstore
