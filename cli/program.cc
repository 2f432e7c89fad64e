// SPDX-License-Identifier: Apache-2.0
#include "program.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "commands.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

bool IsProgram(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

// The arguments as the system wants them; they point into `arguments`.
std::vector<char*> Words(const std::string& path, std::vector<std::string>* arguments) {
  arguments->insert(arguments->begin(), path);
  std::vector<char*> words;
  for (std::string& word : *arguments) words.push_back(word.data());
  words.push_back(nullptr);
  return words;
}

int Execute(const std::string& path, std::vector<std::string> arguments) {
  const std::vector<char*> words = Words(path, &arguments);
  std::fflush(nullptr);
  ::execv(path.c_str(), words.data());
  return errno;
}

}  // namespace

std::optional<std::string> FindProgram(const std::string& name) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error && IsProgram(self.parent_path() / name)) return (self.parent_path() / name).string();
  const char* const named = std::getenv("PATH");
  const std::string path = named == nullptr ? "" : named;
  for (size_t at = 0; at < path.size();) {
    const size_t end = std::min(path.find(':', at), path.size());
    // An empty one is the working directory, which anybody may have written to.
    const std::filesystem::path folder = path.substr(at, end - at);
    if (!folder.empty() && IsProgram(folder / name)) return (folder / name).string();
    at = end + 1;
  }
  return std::nullopt;
}

int RunProgram(const std::string& name, std::vector<std::string> arguments,
               const std::string& install) {
  const auto found = FindProgram(name);
  const int error = found ? Execute(*found, std::move(arguments)) : ENOENT;
  std::fprintf(stderr, "qstore: cannot run %s (%s); it comes with: %s\n", name.c_str(),
               std::strerror(error), install.c_str());
  return kExitFailed;
}

std::optional<int> RunProgramBeside(const std::string& name, std::vector<std::string> arguments) {
  const auto found = FindProgram(name);
  if (!found) return std::nullopt;
  const std::vector<char*> words = Words(*found, &arguments);
  std::fflush(nullptr);
  pid_t process = 0;
  if (::posix_spawn(&process, found->c_str(), nullptr, nullptr, words.data(), environ) != 0) {
    return std::nullopt;
  }
  int state = 0;
  while (::waitpid(process, &state, 0) < 0) {
    if (errno != EINTR) return std::nullopt;
  }
  return WIFEXITED(state) ? WEXITSTATUS(state) : kExitFailed;
}

void RunVerbOfProgram(int argc, char** argv, const std::vector<std::string>& verbs) {
  const std::string verb = argc < 2 ? "" : argv[1];
  const bool is_word = !verb.empty() && verb.front() != '-' && verb.find('/') == std::string::npos;
  if (!is_word || std::find(verbs.begin(), verbs.end(), verb) != verbs.end()) return;
  const auto found = FindProgram("qstore-" + verb);
  if (!found) return;
  Execute(*found, {argv + 2, argv + argc});
}

}  // namespace qstore::cli
