// SPDX-License-Identifier: Apache-2.0
#include "draw.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "commands.h"
#include "program.h"

namespace qstore::cli {
namespace {

constexpr char kDrawProgram[] = "qstore-draw";
constexpr char kInstall[] = "pip install 'qstore[plots]'";

bool WriteAll(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

}  // namespace

void DrawAnalysis(const std::string& directory) {
  const std::filesystem::path folder = directory;
  const std::string page = (folder / "report.html").string();
  const auto drawn = RunProgramBeside(
      kDrawProgram, {"analysis", (folder / "summary.json").string(), "--output=" + page});
  if (drawn == 0) return;
  // When it ran, it has said why it failed.
  if (!drawn) {
    std::fprintf(stderr, "qstore: no report.html: it is drawn by %s; it comes with: %s\n",
                 kDrawProgram, kInstall);
  }
}

int Draw(const std::string& document, std::vector<std::string> arguments) {
  const int fd = ::memfd_create("qstore", MFD_CLOEXEC);
  if (fd < 0 || !WriteAll(fd, document) || ::lseek(fd, 0, SEEK_SET) != 0 ||
      ::dup2(fd, STDIN_FILENO) < 0) {
    std::fprintf(stderr, "qstore: cannot hand the JSON to %s: %s\n", kDrawProgram,
                 std::strerror(errno));
    return kExitFailed;
  }
  ::close(fd);
  return RunProgram(kDrawProgram, std::move(arguments), kInstall);
}

}  // namespace qstore::cli
