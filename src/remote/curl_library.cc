// SPDX-License-Identifier: Apache-2.0
#include "remote/curl_library.h"

#include <dlfcn.h>

#include <string>

namespace qstore::remote {
namespace {

CurlLibrary library;

// The same interface by other libraries of TLS, where the first is absent.
constexpr const char* kCurlNames[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};

template <class Function>
bool Find(void* handle, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(::dlsym(handle, name));
  return *function != nullptr;
}

bool FindAll(void* from, CurlLibrary* to) {
  return Find(from, "curl_global_init", &to->global_init) &&
         Find(from, "curl_easy_init", &to->easy_init) &&
         Find(from, "curl_easy_setopt", &to->easy_setopt) &&
         Find(from, "curl_easy_getinfo", &to->easy_getinfo) &&
         Find(from, "curl_easy_strerror", &to->easy_strerror) &&
         Find(from, "curl_easy_cleanup", &to->easy_cleanup) &&
         Find(from, "curl_multi_init", &to->multi_init) &&
         Find(from, "curl_multi_add_handle", &to->multi_add_handle) &&
         Find(from, "curl_multi_remove_handle", &to->multi_remove_handle) &&
         Find(from, "curl_multi_perform", &to->multi_perform) &&
         Find(from, "curl_multi_poll", &to->multi_poll) &&
         Find(from, "curl_multi_info_read", &to->multi_info_read) &&
         Find(from, "curl_multi_cleanup", &to->multi_cleanup) &&
         Find(from, "curl_slist_append", &to->slist_append) &&
         Find(from, "curl_slist_free_all", &to->slist_free_all) &&
         Find(from, "curl_url", &to->url) && Find(from, "curl_url_set", &to->url_set) &&
         Find(from, "curl_url_get", &to->url_get) &&
         Find(from, "curl_url_cleanup", &to->url_cleanup) && Find(from, "curl_free", &to->free);
}

Status Load() {
  void* handle = nullptr;
  for (const char* name : kCurlNames) {
    if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
  }
  const auto unsupported = [](const char* rule) {
    return Status(ErrorCode::kUnsupportedFeature,
                  std::string("URLs are read by libcurl 7.80 or later, ") + rule);
  };
  if (handle == nullptr) return unsupported("which is not installed (libcurl.so.4)");
  decltype(&curl_version_info) version_info = nullptr;
  constexpr unsigned kLeast = 0x075000;
  if (!FindAll(handle, &library) || !Find(handle, "curl_version_info", &version_info) ||
      version_info(CURLVERSION_NOW)->version_num < kLeast) {
    return unsupported("and the one installed is older");
  }
  if (library.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) return LimitExceeded("out of memory");
  return {};
}

}  // namespace

Status LoadCurl() {
  static const Status loaded = Load();
  return loaded;
}

const CurlLibrary& Curl() { return library; }

}  // namespace qstore::remote
