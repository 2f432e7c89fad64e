// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <curl/curl.h>

#include "qstore/status.h"

namespace qstore::remote {

/// The functions of libcurl. It is loaded when the first URL is opened: with all that it depends
/// on, that takes longer than many a command.
struct CurlLibrary {
  decltype(&curl_global_init) global_init;
  decltype(&curl_easy_init) easy_init;
  decltype(&curl_easy_setopt) easy_setopt;
  decltype(&curl_easy_getinfo) easy_getinfo;
  decltype(&curl_easy_strerror) easy_strerror;
  decltype(&curl_easy_cleanup) easy_cleanup;
  decltype(&curl_multi_init) multi_init;
  decltype(&curl_multi_add_handle) multi_add_handle;
  decltype(&curl_multi_remove_handle) multi_remove_handle;
  decltype(&curl_multi_perform) multi_perform;
  decltype(&curl_multi_poll) multi_poll;
  decltype(&curl_multi_info_read) multi_info_read;
  decltype(&curl_multi_cleanup) multi_cleanup;
  decltype(&curl_slist_append) slist_append;
  decltype(&curl_slist_free_all) slist_free_all;
  decltype(&curl_url) url;
  decltype(&curl_url_set) url_set;
  decltype(&curl_url_get) url_get;
  decltype(&curl_url_cleanup) url_cleanup;
  decltype(&curl_free) free;
};

/// Loads it, and makes it ready, once in a process. Errors: kUnsupportedFeature, naming what is
/// missing. NOTE: a child that is forked by another thread meanwhile must not read URLs.
Status LoadCurl();

/// REQUIRES: LoadCurl has succeeded.
const CurlLibrary& Curl();

}  // namespace qstore::remote
