// SPDX-License-Identifier: Apache-2.0
#include "remote/http_connection.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "remote/addresses.h"
#include "remote/curl_library.h"
#include "remote/curl_options.h"
#include "remote/proxy.h"
#include "remote/sigpipe.h"

namespace qstore::remote {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPoll{100};
constexpr milliseconds kMostToConnect{10000};
constexpr uint64_t kMostDropped = 64 << 10;  // Of a body that nobody wants, to keep a connection.

long Milliseconds(Clock::duration time) {
  return static_cast<long>(std::chrono::duration_cast<milliseconds>(time).count());
}

}  // namespace

struct HttpConnection::Handles {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;

  ~Handles() {
    const NoSigpipe guard;
    Curl().easy_cleanup(easy);
    Curl().multi_cleanup(multi);
  }
};

/// A request that is running.
struct HttpConnection::Exchange {
  CURL* easy = nullptr;
  const HttpRequest* request = nullptr;
  const HttpSettings* settings = nullptr;
  const OnHead* on_head = nullptr;
  curl_slist* fields = nullptr;
  bool is_proxied = false;

  HttpHead head;
  bool is_public = false;
  bool is_begun = false;  // Its head has been told of.
  std::span<std::byte> out;
  uint64_t dropped = 0;
  bool is_complete = false;  // Broken off when nothing more was wanted.
  Status status;             // Why it was broken off otherwise.
  HttpOutcome outcome;
  Clock::time_point active;  // When something came last.
  std::array<char, CURL_ERROR_SIZE> error{};

  ~Exchange() { Curl().slist_free_all(fields); }

  // Behind a proxy there is only the name.
  int Connected(const char* peer) {
    active = Clock::now();
    is_public = is_proxied ? IsPublicHost(request->url.host) : settings->is_public_address(peer);
    if (is_public || !request->must_be_public) return CURL_PREREQFUNC_OK;
    status = IoError("redirected from a public address to one that is not");
    return CURL_PREREQFUNC_ABORT;
  }

  // False when it is broken off.
  bool Begin() {
    is_begun = true;
    Curl().easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &head.status);
    head.is_public = is_public;
    auto place = (*on_head)(head);
    if (place.ok()) {
      out = *place;
    } else {
      status = place.status();
    }
    return place.ok();
  }

  // Returns: whether to go on.
  bool TakeBody(std::span<const std::byte> bytes) {
    active = Clock::now();
    if (!is_begun && !Begin()) return false;
    if (out.empty()) {
      dropped += bytes.size();
      is_complete = dropped > kMostDropped;
      return !is_complete;
    }
    const auto wanted =
        static_cast<size_t>(std::min<uint64_t>(bytes.size(), out.size() - outcome.received));
    std::memcpy(out.data() + outcome.received, bytes.data(), wanted);
    outcome.received += wanted;
    curl_off_t length = -1;
    Curl().easy_getinfo(easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    const bool ends_here = length >= 0 && static_cast<uint64_t>(length) == out.size();
    is_complete = outcome.received == out.size() && !ends_here;
    return !is_complete;
  }

  void Fail(CURLcode code) {
    if (is_complete || !status.ok()) return;
    if (code == CURLE_OK && !is_begun && !Begin()) return;
    if (code == CURLE_OK) {
      if (outcome.received < out.size()) outcome.failure = "the answer ended early";
      return;
    }
    if (code == CURLE_OUT_OF_MEMORY) status = LimitExceeded("out of memory");
    outcome.is_lasting = IsLasting(code);
    outcome.failure = error[0] != '\0' ? error.data() : Curl().easy_strerror(code);
    if (code == CURLE_PARTIAL_FILE) outcome.failure = "the answer ended early";
    long number = 0;
    Curl().easy_getinfo(easy, CURLINFO_OS_ERRNO, &number);
    if (code == CURLE_COULDNT_CONNECT && number != 0) {
      outcome.failure += ": " + std::generic_category().message(static_cast<int>(number));
    }
  }

  // What libcurl calls, which exceptions must not leave.
  template <class Call>
  bool Guard(const Call& call) {
    const Status thrown =
        base::Guarded([&]() -> Status { return call() ? Status() : Cancelled(); });
    if (!thrown.ok() && thrown.code() != ErrorCode::kCancelled) status = thrown;
    return thrown.ok();
  }
  static int OnConnected(void* self, char* peer, char* /*local*/, int /*peer_port*/,
                         int /*local_port*/) {
    auto& exchange = *static_cast<Exchange*>(self);
    const bool goes_on =
        exchange.Guard([&] { return exchange.Connected(peer) == CURL_PREREQFUNC_OK; });
    return goes_on ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
  }
  static size_t OnLine(char* data, size_t size, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    exchange.active = Clock::now();
    const bool goes_on = exchange.Guard([&] {
      exchange.head.TakeLine({data, size * count});
      return true;
    });
    return goes_on ? size * count : 0;
  }
  static size_t OnBody(char* data, size_t size, size_t count, void* self) {
    auto& exchange = *static_cast<Exchange*>(self);
    const std::span bytes(reinterpret_cast<const std::byte*>(data), size * count);
    if (bytes.empty()) return 0;
    return exchange.Guard([&] { return exchange.TakeBody(bytes); }) ? bytes.size() : 0;
  }
};

HttpConnection::HttpConnection(const HttpSettings& settings)
    : settings_(settings), process_(::getpid()), handles_(std::make_unique<Handles>()) {}

HttpConnection::~HttpConnection() = default;

Result<std::unique_ptr<HttpConnection>> HttpConnection::Make(const HttpSettings& settings) {
  QSTORE_TRY(LoadCurl());
  std::unique_ptr<HttpConnection> made(new HttpConnection(settings));
  CURL* const easy = made->handles_->easy = Curl().easy_init();
  made->handles_->multi = Curl().multi_init();
  if (easy == nullptr || made->handles_->multi == nullptr) {
    return LimitExceeded("out of memory");
  }
  SetOptions(easy, settings.certificates);
  Curl().easy_setopt(easy, CURLOPT_PREREQFUNCTION, &Exchange::OnConnected);
  Curl().easy_setopt(easy, CURLOPT_HEADERFUNCTION, &Exchange::OnLine);
  Curl().easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Exchange::OnBody);
  return made;
}

Status HttpConnection::Prepare(const HttpRequest& request, Exchange* exchange) {
  CURL* const easy = exchange->easy = handles_->easy;
  exchange->request = &request;
  exchange->settings = &settings_;
  const std::string range =
      "Range: bytes=" + std::to_string(request.first) + "-" + std::to_string(request.last);
  std::vector<std::string> lines = request.fields;
  lines.insert(lines.end(), {range, "Accept-Encoding: identity"});
  for (const std::string& line : lines) {
    curl_slist* const longer = Curl().slist_append(exchange->fields, line.c_str());
    if (longer == nullptr) return LimitExceeded("out of memory");
    exchange->fields = longer;
  }
  const std::string proxy = ProxyFor(request.url);
  exchange->is_proxied = !proxy.empty();
  const CURLcode copied[] = {
      Curl().easy_setopt(easy, CURLOPT_URL, request.url.text.c_str()),
      Curl().easy_setopt(easy, CURLOPT_PROXY, proxy.c_str()),
  };
  for (const CURLcode code : copied) {
    if (code != CURLE_OK) return LimitExceeded("out of memory");
  }
  const Clock::duration patience = std::min<Clock::duration>(request.silence, kMostToConnect);
  Curl().easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, std::max(1L, Milliseconds(patience)));
  Curl().easy_setopt(easy, CURLOPT_HTTPHEADER, exchange->fields);
  Curl().easy_setopt(easy, CURLOPT_ERRORBUFFER, exchange->error.data());
  Curl().easy_setopt(easy, CURLOPT_PREREQDATA, exchange);
  Curl().easy_setopt(easy, CURLOPT_HEADERDATA, exchange);
  Curl().easy_setopt(easy, CURLOPT_WRITEDATA, exchange);
  return {};
}

void HttpConnection::Run(const HttpRequest& request, const std::function<bool()>& go_on,
                         Exchange* exchange) {
  CURLM* const multi = handles_->multi;
  exchange->active = Clock::now();
  while (true) {
    int running = 0;
    int left = 0;
    Curl().multi_perform(multi, &running);
    if (const CURLMsg* message = Curl().multi_info_read(multi, &left); message != nullptr) {
      exchange->Fail(message->data.result);
      return;
    }
    const Clock::time_point now = Clock::now();
    const Clock::time_point silent = exchange->active + request.silence;
    if (!go_on()) {
      exchange->status = Cancelled();
      return;
    }
    if (now >= request.until || now >= silent) {
      exchange->outcome.failure = now >= request.until ? "timed out: the server sends too slowly"
                                                       : "timed out: the server is silent";
      return;
    }
    const Clock::time_point next = std::min({request.until, silent, now + kPoll});
    Curl().multi_poll(multi, nullptr, 0, static_cast<int>(Milliseconds(next - now)) + 1, nullptr);
  }
}

Result<HttpOutcome> HttpConnection::Get(const HttpRequest& request,
                                        const std::function<bool()>& go_on, const OnHead& on_head) {
  Exchange exchange;
  exchange.on_head = &on_head;
  QSTORE_TRY(Prepare(request, &exchange));
  const NoSigpipe guard;
  if (Curl().multi_add_handle(handles_->multi, handles_->easy) != CURLM_OK) {
    return LimitExceeded("out of memory");
  }
  Run(request, go_on, &exchange);
  Curl().multi_remove_handle(handles_->multi, handles_->easy);
  // What the handle still has of the exchange is set anew before it is used again.
  Curl().easy_setopt(handles_->easy, CURLOPT_ERRORBUFFER, nullptr);
  if (!exchange.status.ok()) return exchange.status;
  return exchange.outcome;
}

}  // namespace qstore::remote
