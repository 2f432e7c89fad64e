// SPDX-License-Identifier: Apache-2.0
#include "zipnn.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace qstore::cli {
namespace {

// Answers a line for a line on its standard input. What the libraries print goes to standard error,
// and an interruption of the terminal is the command's to handle.
constexpr const char* kScript = R"(
import json, os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
def answer(text):
    print(" ".join(str(text).split()), file=answers, flush=True)
try:
    import zipnn
except Exception as error:
    answer(f"{type(error).__name__}: {error}")
    sys.exit(1)
answer("ready")
for line in sys.stdin:
    try:
        request = json.loads(line)
        total, left = 0, request["size"]
        with open(request["path"], "rb") as file:
            file.seek(request["offset"])
            while left:
                piece = bytearray(file.read(min(left, 256 << 20)))
                left -= len(piece)
                coder = zipnn.ZipNN(input_format="byte", bytearray_dtype=request["dtype"])
                total += len(coder.compress(piece)) if piece else left
        answer(total)
    except Exception as error:
        answer(f"{type(error).__name__}: {error}")
)";

std::string Python() {
  const char* named = std::getenv("QSTORE_PYTHON");
  return named != nullptr && *named != '\0' ? named : "python3";
}

}  // namespace

Result<std::shared_ptr<Zipnn>> Zipnn::Start() {
  const std::string python = Python();
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return IoError("cannot make a socket for " + python);
  }
  const pid_t process = ::fork();
  if (process == 0) {
    ::dup2(ends[1], STDIN_FILENO);
    ::dup2(ends[1], STDOUT_FILENO);
    ::execlp(python.c_str(), python.c_str(), "-c", kScript, static_cast<char*>(nullptr));
    ::_exit(127);
  }
  ::close(ends[1]);
  if (process < 0) {
    ::close(ends[0]);
    return IoError("cannot start " + python);
  }
  std::shared_ptr<Zipnn> zipnn(new Zipnn(python, ends[0], process));
  const auto ready = zipnn->Receive();
  if (ready.ok() && *ready == "ready") return zipnn;
  return NotFound(python + " cannot import zipnn (" +
                  (ready.ok() ? *ready : ready.status().message()) +
                  "): run `pip install zipnn`, name another interpreter in QSTORE_PYTHON, or leave "
                  "zipnn out of --methods");
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
    if (count < 0) return IoError(python_ + " running zipnn has ended");
    sent += static_cast<size_t>(count);
  }
  return {};
}

Result<std::string> Zipnn::Receive() const {
  std::string line;
  for (char c = 0;;) {
    const ssize_t count = ::recv(socket_, &c, 1, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return IoError(python_ + " has ended");
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
