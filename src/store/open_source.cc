// SPDX-License-Identifier: Apache-2.0
#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/file.h"
#include "qstore/source.h"
#include "remote/location.h"
#include "remote/open_http.h"

namespace qstore {
namespace {

Result<OpenedSource> OpenPath(const std::string& path) {
  QSTORE_ASSIGN(std::shared_ptr<const ByteSource> source, io::SourceFile::Open(path));
  return OpenedSource{std::move(source), path, false};
}

Result<OpenedSource> OpenLocation(const std::string& location, const HttpOptions& options) {
  if (!remote::IsUrl(location)) return OpenPath(location);
  const std::string scheme = remote::SchemeOf(location);
  if (scheme == "file") {
    QSTORE_ASSIGN(const std::string path, remote::PathOfFileUrl(location));
    return OpenPath(path);
  }
  const std::string name = remote::WithoutSecrets(location);
  if (scheme != "http" && scheme != "https") {
    return Status(ErrorCode::kUnsupportedFeature,
                  name + ": of URLs only http, https and file are read here");
  }
  QSTORE_ASSIGN(auto source, remote::OpenHttp(location, options));
  return OpenedSource{std::move(source), name, true};
}

}  // namespace

bool IsUrl(std::string_view location) { return remote::IsUrl(location); }

std::string WithoutSecrets(std::string_view url) { return remote::WithoutSecrets(url); }

Result<OpenedSource> OpenSource(std::string_view location, const HttpOptions& options) {
  return base::Guarded([&] { return OpenLocation(std::string(location), options); });
}

Result<Archive> OpenArchive(std::string_view location, const OpenOptions& options,
                            const HttpOptions& http) {
  auto opened = OpenSource(location, http);
  if (!opened.ok()) return opened.status();
  return OpenArchive(*opened, options);
}

Result<Archive> OpenArchive(const OpenedSource& opened, const OpenOptions& options) {
  OpenOptions chosen = options;
  if (opened.is_remote && chosen.read_ahead == 0) {
    chosen.read_ahead = kRemoteReadAhead;
    chosen.read_size = kRemoteReadSize;
  }
  return Archive::Open(opened.source, opened.name, chosen);
}

}  // namespace qstore
