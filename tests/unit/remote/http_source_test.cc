// SPDX-License-Identifier: Apache-2.0
#include "remote/http_source.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "unit/remote/http_server.h"

namespace qstore::remote {
namespace {

using testing::HttpServer;
using Request = HttpServer::Request;

std::string SomeBytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 7 + i / 251);
  return bytes;
}

HttpOptions Impatient() {
  HttpOptions options;
  options.timeout = 5;
  options.retries = 2;
  return options;
}

class Http : public ::testing::Test {
 protected:
  HttpOptions options_ = Impatient();
  std::string content_ = SomeBytes(1 << 20);
  HttpServer server_{content_};

  std::string Read(const HttpSource& source, uint64_t offset, size_t size, Status* status) const {
    std::string out(size, '\0');
    *status = source.Read(offset, std::as_writable_bytes(std::span(out)));
    return out;
  }
  void ExpectReads(const HttpSource& source, uint64_t offset, size_t size) const {
    Status status;
    EXPECT_TRUE(Read(source, offset, size, &status) == content_.substr(offset, size)) << offset;
    EXPECT_TRUE(status.ok()) << status.ToString();
  }
  void ExpectError(const HttpSource& source, ErrorCode code, const std::string& text) const {
    Status status;
    Read(source, 1000, 1000, &status);
    EXPECT_EQ(status.code(), code) << status.ToString();
    EXPECT_NE(status.message().find(text), std::string::npos) << status.ToString();
    EXPECT_TRUE(status.message().starts_with(source.name() + ": ")) << status.ToString();
  }
};

TEST_F(Http, ReadsWhatIsThere) {
  const auto source = HttpSource::Open(server_.url(), options_);
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  const HttpSource& file = **source;
  EXPECT_EQ(file.size(), content_.size());
  ExpectReads(file, 0, 72);
  EXPECT_EQ(server_.requests().size(), 1U);  // The first bytes are known.
  ExpectReads(file, 3, 100000);
  ExpectReads(file, content_.size() - 5, 5);
  EXPECT_EQ(server_.connections(), 1);
  Status status;
  Read(file, content_.size() - 5, 6, &status);
  EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
}

TEST_F(Http, ErrorsThatPassAreTriedAgain) {
  const auto source = HttpSource::Open(server_.url(), options_);
  std::atomic<int> asked = 0;
  server_.set_behave([&](const Request& request) -> std::string {
    if (asked++ % 2 == 1) return "";
    const std::string whole = server_.Partial(request);
    return whole.substr(0, whole.size() - 40000) + std::string(HttpServer::kHangUp);
  });
  ExpectReads(**source, 1000, 100000);
  EXPECT_EQ(asked, 2);
  // Only what had not come is asked for again.
  EXPECT_EQ(server_.requests().back().first, 1000U + 60000U);
  asked = 0;
  server_.set_behave([&](const Request&) -> std::string {
    ++asked;
    return "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nRetry-After: 0\r\n\r\n";
  });
  ExpectError(**source, ErrorCode::kIo,
              "cannot read at offset 1000, 3 times: the server answered 503");
  EXPECT_EQ(asked, 3);
}

TEST_F(Http, ASilentServerIsLeft) {
  options_.timeout = 0.2;
  options_.retries = 0;
  const auto source = HttpSource::Open(server_.url(), options_);
  server_.set_behave([&](const Request&) -> std::string {
    std::this_thread::sleep_for(std::chrono::milliseconds(600));
    return "";
  });
  const auto begin = Clock::now();
  ExpectError(**source, ErrorCode::kIo, "timed out");
  EXPECT_LT(Clock::now() - begin, std::chrono::milliseconds(500));
}

TEST_F(Http, AnotherFileOfTheNameIsSeen) {
  const auto source = HttpSource::Open(server_.url(), options_);
  EXPECT_TRUE((*source)->CheckUnchanged().ok());
  server_.set_behave(
      [&](const Request& request) { return server_.Partial(request, "ETag: \"2\"\r\n"); });
  ExpectError(**source, ErrorCode::kSourceChanged, "changed while it was read");
  EXPECT_EQ((*source)->CheckUnchanged().code(), ErrorCode::kSourceChanged);
  const auto again = HttpSource::Open(server_.url(), options_);
  EXPECT_NE((*source)->identity(), (*again)->identity());
  server_.set_behave(
      [&](const Request&) { return "HTTP/1.1 404 Gone\r\nContent-Length: 0\r\n\r\n"; });
  ExpectError(**again, ErrorCode::kSourceChanged, "was removed");
  EXPECT_EQ(HttpSource::Open(server_.url(), options_).status().code(), ErrorCode::kNotFound);
}

TEST_F(Http, WholeFilesAreRefusedBeforeTheyCome) {
  server_.set_behave([&](const Request&) {
    return "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n" + std::string(1 << 20, 'x');
  });
  const auto source = HttpSource::Open(server_.url(), options_);
  EXPECT_EQ(source.status().code(), ErrorCode::kIo);
  EXPECT_NE(source.status().message().find("ignores Range"), std::string::npos);
}

TEST_F(Http, WhateverASizeClaimsOnlyWhatWasAskedForIsRead) {
  for (const char* claim :
       {"Content-Length: 1099511627776", "Transfer-Encoding: chunked", "X: 1"}) {
    const bool is_chunked = std::string_view(claim).starts_with("Transfer");
    server_.set_behave([&](const Request& request) {
      const std::string end = std::to_string(request.last);
      return "HTTP/1.1 206 OK\r\nContent-Range: bytes " + std::to_string(request.first) + "-" +
             end + "/1125899906842624\r\n" + claim + "\r\n\r\n" +
             (is_chunked ? "fffffff\r\n" : "") +
             content_.substr(request.first, request.last - request.first + 1) +
             std::string(4 << 20, 'x') + std::string(HttpServer::kHangUp);
    });
    const auto source = HttpSource::Open(server_.url(), options_);
    ASSERT_TRUE(source.ok()) << claim << source.status().ToString();
    EXPECT_EQ((*source)->size(), uint64_t{1} << 50);
    ExpectReads(**source, 100, 1 << 16);
  }
}

TEST_F(Http, HeadersGoToTheServerOfTheUrlOnly) {
  HttpServer front(content_);
  front.set_behave([&](const Request&) { return HttpServer::Redirect(server_.url() + "?sig=1"); });
  options_.headers = {{"Authorization", "Bearer secret"}, {"X-Empty", ""}, {"Range", "bytes=0-0"}};
  const auto source = HttpSource::Open(front.url(), options_);
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  ExpectReads(**source, 1000, 1000);
  EXPECT_EQ(front.requests().size(), 1U);  // Where it leads to is remembered.
  for (const Request& request : front.requests()) {
    EXPECT_TRUE(request.Has("Authorization: Bearer secret\r\n")) << request.head;
    EXPECT_TRUE(request.Has("X-Empty:")) << request.head;
  }
  for (const Request& request : server_.requests()) {
    EXPECT_FALSE(request.Has("secret")) << request.head;
  }
  // Until it has expired.
  server_.set_behave([&](const Request& request) -> std::string {
    return request.Has("sig=1") ? "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n" : "";
  });
  front.set_behave([&](const Request&) { return HttpServer::Redirect(server_.url() + "?sig=2"); });
  ExpectReads(**source, 5000, 1000);
}

TEST_F(Http, MayBeUsedAfterAFork) {
  const auto source = HttpSource::Open(server_.url(), options_);
  ExpectReads(**source, 1000, 1000);
  const pid_t child = ::fork();
  if (child == 0) {
    std::string out(1000, '\0');
    const Status status = (*source)->Read(7000, std::as_writable_bytes(std::span(out)));
    ::_exit(status.ok() && out == content_.substr(7000, 1000) ? 0 : 1);
  }
  ExpectReads(**source, 9000, 1000);
  int ended = -1;
  ASSERT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
  EXPECT_EQ(server_.connections(), 2);
  ExpectReads(**source, 11000, 1000);
}

TEST_F(Http, ReadsEndWhenTheyAreInterrupted) {
  std::atomic<bool> goes_on = true;
  options_.go_on = [&] { return goes_on.load(); };
  const auto source = HttpSource::Open(server_.url(), options_);
  server_.set_behave([&](const Request&) -> std::string {
    std::this_thread::sleep_for(std::chrono::seconds(2));
    return "";
  });
  for (const bool by_option : {false, true}) {
    const auto begin = Clock::now();
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
      if (by_option) goes_on = false;
      (*source)->Interrupt();
    });
    ExpectError(**source, ErrorCode::kCancelled, "stopped");
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1));
    other.join();
  }
  goes_on = true;
  server_.set_behave({});
  ExpectReads(**source, 1000, 1000);
}

TEST_F(Http, ManyThreadsReadAtOnce) {
  const auto source = HttpSource::Open(server_.url(), options_);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 40; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 20; ++i) ExpectReads(**source, 100 + 999 * t + i, 5000 + i);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LT(server_.connections(), 800);
}

TEST_F(Http, WrongOptionsAreRefused) {
  const auto refused = [&](const std::function<void(HttpOptions*)>& change) {
    HttpOptions wrong = options_;
    change(&wrong);
    return HttpSource::Open(server_.url(), wrong).status().code() == ErrorCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](HttpOptions* wrong) { wrong->headers = {{"a", "b\r\nc"}}; }));
  EXPECT_TRUE(refused([](HttpOptions* wrong) { wrong->headers = {{"a b", "c"}}; }));
  EXPECT_TRUE(refused([](HttpOptions* wrong) { wrong->timeout = 0; }));
  EXPECT_TRUE(refused([](HttpOptions* wrong) { wrong->least_rate = -1; }));
  EXPECT_TRUE(refused([](HttpOptions* wrong) { wrong->deadline = -1; }));
  EXPECT_TRUE(server_.requests().empty());
}

/// Redirects between servers of which some count as public.
class Redirects : public Http {
 protected:
  static constexpr char kRefused[] = "redirected from a public address";
  HttpServer public_{content_, "127.0.0.2"};
  std::atomic<bool> has_public_ = true;

  Result<std::shared_ptr<const HttpSource>> Open(const std::string& url) {
    return HttpSource::Open(url, options_, [this](const std::string& address) {
      return has_public_ && address == "127.0.0.2";
    });
  }
  static void Lead(HttpServer* from, const std::string& to) {
    from->set_behave([to](const Request&) { return HttpServer::Redirect(to); });
  }
  void ExpectRefused(const std::string& url) {
    const Status status = Open(url).status();
    EXPECT_EQ(status.code(), ErrorCode::kIo);
    EXPECT_NE(status.message().find(kRefused), std::string::npos) << status.ToString();
  }
};

TEST_F(Redirects, FromPublicToPrivateAddressesAreRefused) {
  Lead(&public_, server_.url());
  ExpectRefused(public_.url());
  EXPECT_TRUE(server_.requests().empty());
  options_.unsafe_redirects = true;
  const auto source = Open(public_.url());
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  ExpectReads(**source, 1000, 1000);
}

TEST_F(Redirects, ByWayOfAPublicAddressAreRefusedToo) {
  HttpServer front(content_);
  Lead(&front, public_.url());
  const auto source = Open(front.url());
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  ExpectReads(**source, 1000, 1000);
  // Whatever is connected already.
  Lead(&public_, front.url() + "?again");
  ExpectError(**source, ErrorCode::kIo, kRefused);
  Lead(&public_, server_.url());
  ExpectRefused(front.url());
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(Redirects, ToANameThatBecomesPrivateAreRefusedThen) {
  HttpServer front(content_, "127.0.0.2");
  Lead(&front, public_.url());
  const auto source = Open(front.url());
  ASSERT_TRUE(source.ok()) << source.status().ToString();
  ExpectReads(**source, 1000, 1000);
  has_public_ = false;
  const size_t asked = public_.requests().size();
  ExpectError(**source, ErrorCode::kIo, kRefused);
  EXPECT_EQ(public_.requests().size(), asked);
}

}  // namespace
}  // namespace qstore::remote
