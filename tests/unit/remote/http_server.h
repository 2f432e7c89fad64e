// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace qstore::testing {

/// An HTTP server on this machine that serves ranges of some content, and badly when told to.
class HttpServer {
 public:
  /// What was asked. `first` and `last` are of its range, as far as there is content.
  struct Request {
    std::string head;
    uint64_t first = 0;
    uint64_t last = 0;
    bool Has(std::string_view text) const { return head.find(text) != std::string::npos; }
  };
  /// Returns the whole answer, or nothing for the usual one. An answer that ends with kHangUp is
  /// the last of its connection.
  using Behave = std::function<std::string(const Request&)>;
  static constexpr std::string_view kHangUp = "<hang up>";

  explicit HttpServer(std::string content, const char* address = "127.0.0.1")
      : content_(std::move(content)), address_(address) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in place{};
    place.sin_family = AF_INET;
    ::inet_pton(AF_INET, address, &place.sin_addr);
    socklen_t size = sizeof(place);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&place), size), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&place), &size);
    port_ = ntohs(place.sin_port);
    acceptor_ = std::thread([this] { Accept(); });
  }
  ~HttpServer() {
    is_ending_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    {
      const std::lock_guard lock(mutex_);
      for (const int fd : open_) ::shutdown(fd, SHUT_RDWR);
    }
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url() const {
    return std::string("http://") + address_ + ":" + std::to_string(port_) + "/m.qstore";
  }
  void set_behave(Behave behave) {
    const std::lock_guard lock(mutex_);
    behave_ = std::move(behave);
  }
  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  int connections() const { return connections_; }

  /// The usual answer, with these fields too.
  std::string Partial(const Request& request, const std::string& fields = "ETag: \"1\"\r\n") const {
    const std::string body =
        content_.substr(request.first, static_cast<size_t>(request.last - request.first + 1));
    return "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes " + std::to_string(request.first) +
           "-" + std::to_string(request.last) + "/" + std::to_string(content_.size()) +
           "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body;
  }
  static std::string Redirect(const std::string& location) {
    return "HTTP/1.1 302 Found\r\nLocation: " + location + "\r\nContent-Length: 0\r\n\r\n";
  }

 private:
  void Accept() {
    while (true) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0 || is_ending_) {
        if (fd >= 0) ::close(fd);
        return;
      }
      ++connections_;
      {
        const std::lock_guard lock(mutex_);
        open_.push_back(fd);
      }
      threads_.emplace_back([this, fd] { Serve(fd); });
    }
  }

  void Serve(int fd) {
    std::string received;
    bool goes_on = true;
    while (goes_on) {
      const size_t end = received.find("\r\n\r\n");
      if (end == std::string::npos) {
        char buffer[4096];
        const ssize_t count = ::recv(fd, buffer, sizeof(buffer), 0);
        if (count <= 0) break;
        received.append(buffer, static_cast<size_t>(count));
        continue;
      }
      goes_on = Answer(fd, received.substr(0, end));
      received.erase(0, end + 4);
    }
    const std::lock_guard lock(mutex_);
    open_.erase(std::find(open_.begin(), open_.end(), fd));
    ::close(fd);
  }

  bool Answer(int fd, const std::string& head) {
    Request request{head};
    const size_t range = head.find("Range: bytes=");
    unsigned long long first = 0;
    unsigned long long last = 0;
    EXPECT_EQ(std::sscanf(head.c_str() + range, "Range: bytes=%llu-%llu", &first, &last), 2);
    request.first = first;
    request.last = std::min<uint64_t>(last, content_.empty() ? 0 : content_.size() - 1);
    Behave behave;
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      behave = behave_;
    }
    std::string answer = behave ? behave(request) : "";
    if (answer.empty()) answer = Partial(request);
    const bool hangs_up = answer.ends_with(kHangUp);
    if (hangs_up) answer.resize(answer.size() - kHangUp.size());
    for (size_t at = 0; at < answer.size();) {
      const ssize_t sent = ::send(fd, answer.data() + at, answer.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return false;
      at += static_cast<size_t>(sent);
    }
    return !hangs_up;
  }

  const std::string content_;
  const char* address_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> is_ending_{false};
  std::atomic<int> connections_{0};
  mutable std::mutex mutex_;
  Behave behave_;
  std::vector<Request> requests_;
  std::vector<int> open_;
  std::list<std::thread> threads_;  // Of the acceptor alone until it has ended.
  std::thread acceptor_;
};

}  // namespace qstore::testing
