// SPDX-License-Identifier: Apache-2.0
#include "qstore/get.h"

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "io/cache.h"
#include "qstore/source.h"
#include "qstore/unpack.h"

namespace qstore {
namespace store {
namespace {

namespace fs = std::filesystem;

/// What an entry of the cache holds.
struct Wanted {
  std::string name;
  std::vector<std::pair<std::string, uint64_t>> files;  // Paths and sizes.
  std::vector<std::string> directories;
  uint64_t bytes = 0;
};

std::string EnvironmentValue(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<Wanted> WantedOf(const Archive& archive, std::string_view variant, const std::string& file) {
  QSTORE_ASSIGN(const size_t index, archive.FindVariant(variant));
  const VariantInfo info = archive.variant(index);
  Wanted wanted;
  for (size_t f = info.first_file; f < info.first_file + info.file_count; ++f) {
    const FileInfo entry = archive.file(f);
    if (!file.empty() && (entry.path != file || entry.is_directory)) continue;
    if (entry.is_directory) {
      wanted.directories.emplace_back(entry.path);
    } else {
      wanted.files.emplace_back(entry.path, entry.size);
    }
    if (__builtin_add_overflow(wanted.bytes, entry.size, &wanted.bytes)) wanted.bytes = UINT64_MAX;
  }
  if (!file.empty() && wanted.files.empty()) {
    return NotFound(archive.path().string() + ": variant '" + std::string(variant) +
                    "' has no file '" + file + "'");
  }
  // The same file by another path, or from another directory, is the same entry.
  std::error_code error;
  const bool is_url = IsUrl(archive.path().string());
  const fs::path place = is_url ? archive.path() : fs::weakly_canonical(archive.path(), error);
  const std::string key =
      place.string() + "\n" + archive.identity() + "\n" + std::string(variant) + "\n" + file;
  const std::string stem = archive.path().stem().string();
  wanted.name = io::Cache::NameOf(stem + "-" + std::string(variant), key);
  return wanted;
}

// Whether all files are there, as far as their sizes tell.
bool IsComplete(const fs::path& folder, const Wanted& wanted) {
  std::error_code error;
  for (const auto& [path, size] : wanted.files) {
    if (fs::file_size(folder / path, error) != size || error) return false;
  }
  for (const std::string& path : wanted.directories) {
    if (!fs::is_directory(folder / path, error)) return false;
  }
  return fs::is_directory(folder, error);
}

GetReport FoundEntry(const fs::path& folder, const Wanted& wanted,
                     std::shared_ptr<const void> lock) {
  GetReport report;
  const bool is_one = wanted.files.size() == 1 && wanted.directories.empty();
  report.path = is_one ? folder / wanted.files.front().first : folder;
  report.bytes = wanted.bytes;
  report.in_use = std::move(lock);
  return report;
}

Status MakeEntry(const Archive& archive, std::string_view variant, const GetOptions& options,
                 const fs::path& folder) {
  UnpackOptions unpack;
  unpack.threads = options.threads;
  unpack.file = options.file;
  unpack.progress = options.progress;
  const auto report = Unpack(archive, variant, folder, unpack);
  return report.status();
}

// The entry of all files, when it is there: one of its files needs no entry of its own.
Result<std::optional<GetReport>> FindWhole(const io::Cache& cache, const Archive& archive,
                                           std::string_view variant, const std::string& file,
                                           const std::function<bool()>& go_on) {
  QSTORE_ASSIGN(const Wanted whole, WantedOf(archive, variant, ""));
  std::error_code error;
  const fs::path folder = cache.PathOf(whole.name);
  if (!fs::exists(folder, error)) return std::optional<GetReport>();
  QSTORE_ASSIGN(auto lock, cache.LockEntry(whole.name, io::Cache::Mode::kShared, go_on));
  if (!IsComplete(folder, whole)) return std::optional<GetReport>();
  lock->Touch();
  GetReport report = FoundEntry(folder, whole, std::move(lock));
  report.path = folder / file;
  report.was_there = true;
  return std::optional<GetReport>(std::move(report));
}

Result<GetReport> GetVariant(const Archive& archive, std::string_view variant,
                             const GetOptions& options) {
  QSTORE_ASSIGN(const Wanted wanted, WantedOf(archive, variant, options.file));
  const fs::path place = options.cache.empty() ? DefaultCache() : options.cache;
  if (place.empty()) {
    return InvalidArgument("no directory for the cache is known: set QSTORE_CACHE");
  }
  QSTORE_ASSIGN(const io::Cache cache, io::Cache::Open(place));
  uint64_t limit = options.cache_size;
  if (limit == 0) {
    QSTORE_ASSIGN(limit, cache.HalfOfDisk());
  }
  const auto go_on = [&] { return !options.progress || options.progress({0, wanted.bytes}); };
  if (!options.file.empty()) {
    QSTORE_ASSIGN(auto whole, FindWhole(cache, archive, variant, options.file, go_on));
    if (whole) return *std::move(whole);
  }
  const fs::path folder = cache.PathOf(wanted.name);
  bool was_there = true;
  while (true) {
    {
      QSTORE_ASSIGN(auto lock, cache.LockEntry(wanted.name, io::Cache::Mode::kShared, go_on));
      if (IsComplete(folder, wanted)) {
        lock->Touch();
        GetReport report = FoundEntry(folder, wanted, std::move(lock));
        report.was_there = was_there;
        return report;
      }
    }
    if (wanted.bytes > limit) {
      return LimitExceeded(archive.path().string() + ": " + std::to_string(wanted.bytes) +
                           " bytes are more than the " + std::to_string(limit) +
                           " that the cache may hold (--cache-size)");
    }
    QSTORE_ASSIGN(auto lock, cache.LockEntry(wanted.name, io::Cache::Mode::kAlone, go_on));
    if (IsComplete(folder, wanted)) continue;
    QSTORE_TRY(cache.Remove(wanted.name));
    cache.MakeRoom(limit - wanted.bytes);
    const Status made = MakeEntry(archive, variant, options, folder);
    if (!made.ok()) {
      cache.Forget(wanted.name);
      return made;
    }
    was_there = false;
    lock->Touch();
    // What others have made meanwhile.
    cache.MakeRoom(limit);
  }
}

}  // namespace
}  // namespace store

std::filesystem::path DefaultCache() {
  if (const std::string named = store::EnvironmentValue("QSTORE_CACHE"); !named.empty())
    return named;
  if (const std::string base = store::EnvironmentValue("XDG_CACHE_HOME"); !base.empty()) {
    return std::filesystem::path(base) / "qstore";
  }
  const std::string home = store::EnvironmentValue("HOME");
  return home.empty() ? std::filesystem::path() : std::filesystem::path(home) / ".cache/qstore";
}

Result<GetReport> Get(const Archive& archive, std::string_view variant, const GetOptions& options) {
  return base::Guarded([&] { return store::GetVariant(archive, variant, options); });
}

}  // namespace qstore
