// SPDX-License-Identifier: Apache-2.0
#include "analyze/run_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <system_error>

#include "base/status_macros.h"
#include "io/file.h"
#include "io/output_file.h"
#include "io/posix_error.h"

namespace qstore::analyze {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxResultBytes = uint64_t{64} << 20;
constexpr size_t kMaxNameInPath = 100;
constexpr const char* kRunFile = "run.json";
constexpr const char* kLayers = "layers";
constexpr const char* kScratch = "scratch";
// Leftovers are removed once, when it is opened.
constexpr io::OutputFile::Options kOptions{.overwrite = true, .sync = true, .tidy = false};

Result<bool> Exists(const fs::path& path) {
  std::error_code error;
  const bool exists = fs::exists(path, error);
  if (error) return io::SystemError(path, "cannot stat", error.value());
  return exists;
}

// Removes what runs that were killed left there.
Status Tidy(const fs::path& path) {
  QSTORE_ASSIGN(const auto directory, io::Directory::Open(path));
  io::RemoveLeftovers(directory);
  return {};
}

std::string TimeText() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc)};
}

}  // namespace

Result<std::unique_ptr<RunDirectory>> RunDirectory::Open(const fs::path& path, std::string_view run,
                                                         bool restart) {
  std::error_code error;
  QSTORE_ASSIGN(const bool exists, Exists(path));
  if (exists && !fs::is_directory(path, error)) {
    return InvalidArgument(path.string() + ": is no directory");
  }
  fs::create_directories(path, error);
  if (error) return io::SystemError(path, "cannot make the directory", error.value());
  QSTORE_TRY(Tidy(path));
  QSTORE_ASSIGN(const bool is_run, Exists(path / kRunFile));
  QSTORE_ASSIGN(const std::vector<std::string> names, io::ListDirectory(path));
  if (!is_run && !names.empty()) {
    return AlreadyExists(path.string() + ": holds something else than an analysis");
  }
  std::unique_ptr<RunDirectory> directory(new RunDirectory(path));
  QSTORE_TRY(directory->Lock());
  QSTORE_TRY(directory->Prepare(run, restart));
  return directory;
}

RunDirectory::~RunDirectory() {
  if (lock_ < 0) return;
  static_cast<void>(io::RemoveAll(lock_, kScratch));
  ::close(lock_);
}

// On the directory itself, so that nothing is left behind.
Status RunDirectory::Lock() {
  int fd = -1;
  do {
    fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return io::SystemError(path_, "cannot open", errno);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    const int code = errno;
    ::close(fd);
    if (code == EWOULDBLOCK) return AlreadyExists(path_.string() + ": is being written");
    return io::SystemError(path_, "cannot lock", code);
  }
  lock_ = fd;
  return {};
}

// run.json is the first to be there and the last to go: what stands without it is no analysis.
Status RunDirectory::Prepare(std::string_view run, bool restart) {
  QSTORE_TRY(Remove(kScratch));
  QSTORE_ASSIGN(bool is_run, Exists(path_ / kRunFile));
  if (is_run && restart) {
    for (const char* name : {kLayers, "summary.json", "report.html", "analyze.log", kRunFile}) {
      QSTORE_TRY(Remove(name));
    }
    is_run = false;
  }
  if (is_run) {
    const auto before = io::ReadSmallFile(path_ / kRunFile, kMaxResultBytes);
    const bool too_long = before.status().code() == ErrorCode::kLimit;
    if (!before.ok() && !too_long) return before.status();
    if (too_long || *before != run) {
      return AlreadyExists(path_.string() +
                           ": holds an analysis of other models or with other options");
    }
  } else {
    QSTORE_TRY(Write(kRunFile, run));
  }
  std::error_code error;
  fs::create_directories(path_ / kLayers, error);
  if (error) return io::SystemError(path_ / kLayers, "cannot make the directory", error.value());
  return Tidy(path_ / kLayers);
}

Status RunDirectory::Remove(const char* name) const {
  const int failed = io::RemoveAll(lock_, name);
  return failed == 0 ? Status() : io::SystemError(path_ / name, "cannot remove", failed);
}

fs::path RunDirectory::LayerPath(size_t index, const std::string& name) const {
  std::array<char, 32> number{};
  std::snprintf(number.data(), number.size(), "%06zu-", index);
  std::string file = number.data() + name.substr(0, kMaxNameInPath);
  for (char& c : file) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return path_ / kLayers / (file + ".json");
}

std::optional<LayerResult> RunDirectory::Find(size_t index, const std::string& name) const {
  const auto text = io::ReadSmallFile(LayerPath(index, name), kMaxResultBytes);
  if (!text.ok()) return std::nullopt;
  auto layer = LayerFromJson(*text);
  if (!layer.ok() || layer->name != name) return std::nullopt;
  return std::move(layer).value();
}

Status RunDirectory::Save(size_t index, const LayerResult& layer) const {
  const std::string name = LayerPath(index, layer.name).filename().string();
  return Write(std::string(kLayers) + "/" + name, LayerToJson(layer));
}

Status RunDirectory::Write(const std::string& name, std::string_view content) const {
  QSTORE_ASSIGN(const auto file, io::OutputFile::Create(path_ / name, kOptions));
  QSTORE_TRY(file->Append(std::as_bytes(std::span(content.data(), content.size()))));
  return file->Commit();
}

fs::path RunDirectory::Scratch(size_t index) const {
  return path_ / kScratch / std::to_string(index);
}

void RunDirectory::RemoveScratch(size_t index) const {
  const std::string name = std::string(kScratch) + "/" + std::to_string(index);
  static_cast<void>(io::RemoveAll(lock_, name.c_str()));
}

void RunDirectory::Log(std::string_view text) {
  const std::string line = TimeText() + " " + std::string(text) + "\n";
  const std::lock_guard<std::mutex> lock(log_mutex_);
  const fs::path path = path_ / "analyze.log";
  std::FILE* log = std::fopen(path.c_str(), "ae");
  if (log == nullptr) return;
  std::fwrite(line.data(), 1, line.size(), log);
  std::fclose(log);
}

}  // namespace qstore::analyze
