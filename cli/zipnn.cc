// SPDX-License-Identifier: Apache-2.0
#include "zipnn.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>

#include "program.h"

namespace qstore::cli {
namespace {

constexpr char kZipnnProgram[] = "qstore-zipnn";
constexpr char kZipnnInstall[] = "pip install qstore zipnn";

}  // namespace

Result<std::shared_ptr<Zipnn>> Zipnn::Start() {
  const auto program = FindProgram(kZipnnProgram);
  if (!program) {
    return NotFound(std::string(kZipnnProgram) + " is absent; it comes with: " + kZipnnInstall +
                    "; or leave zipnn out of --methods");
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return IoError(std::string("cannot make a socket for ") + kZipnnProgram);
  }
  const pid_t process = ::fork();
  if (process == 0) {
    ::dup2(ends[1], STDIN_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::execl(program->c_str(), program->c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(ends[1]);
  if (process < 0) {
    ::close(ends[0]);
    return IoError(std::string("cannot start ") + kZipnnProgram);
  }
  std::shared_ptr<Zipnn> zipnn(new Zipnn(ends[0], process));
  const auto ready = zipnn->Receive();
  if (ready.ok() && *ready == "ready") return zipnn;
  return NotFound(std::string(kZipnnProgram) + " cannot import zipnn (" +
                  (ready.ok() ? *ready : ready.status().message()) + "): run `" + kZipnnInstall +
                  "`, or leave zipnn out of --methods");
}

Zipnn::~Zipnn() {
  ::close(socket_);
  while (::waitpid(process_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Status Zipnn::Send(const std::string& line) const {
  for (size_t sent = 0; sent < line.size();) {
    const ssize_t count = ::send(socket_, line.data() + sent, line.size() - sent, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return IoError(std::string(kZipnnProgram) + " has ended");
    sent += static_cast<size_t>(count);
  }
  return {};
}

Result<std::string> Zipnn::Receive() const {
  std::string line;
  for (char c = 0;;) {
    const ssize_t count = ::recv(socket_, &c, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return IoError(std::string(kZipnnProgram) + " has ended");
    if (c == '\n') return line;
    line += c;
  }
}

Result<uint64_t> Zipnn::Size(const std::filesystem::path& file, uint64_t offset, uint64_t size,
                             DType dtype) {
  using Json = nlohmann::json;
  // In ASCII, whatever the interpreter takes its standard input for.
  const std::string path = Json(std::filesystem::absolute(file).string())
                               .dump(-1, ' ', true, Json::error_handler_t::replace);
  Status sent = Send(R"({"path": )" + path + R"(, "offset": )" + std::to_string(offset) +
                     R"(, "size": )" + std::to_string(size) + R"(, "dtype": ")" +
                     (dtype == DType::kF16 ? "float16" : "bfloat16") + "\"}\n");
  if (!sent.ok()) return sent;
  auto answer = Receive();
  if (!answer.ok()) return answer.status();
  uint64_t bytes = 0;
  const char* end = answer->data() + answer->size();
  const auto parsed = std::from_chars(answer->data(), end, bytes);
  if (parsed.ec == std::errc() && parsed.ptr == end) return bytes;
  return IoError(file.string() + ": zipnn: " + *answer);
}

}  // namespace qstore::cli
