// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "analyze/results.h"
#include "qstore/status.h"

namespace qstore::analyze {

/// The directory that an analysis writes and that a later run goes on with.
/// Thread-safety: all but Open may be called from many threads at once.
class RunDirectory {
 public:
  /// Makes the directory, or opens that of an earlier run whose run.json is `run`. With `restart`
  /// the results of any earlier run are removed. What was left of an interrupted one is removed.
  /// Errors: kAlreadyExists (it holds something else, or another analysis and not `restart`;
  /// another process is writing it), kInvalidArgument (no directory), kIo.
  static Result<std::unique_ptr<RunDirectory>> Open(const std::filesystem::path& path,
                                                    std::string_view run, bool restart);
  /// Removes temporary copies.
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  /// What an earlier run found out about layer number `index`, if that is `name`.
  std::optional<LayerResult> Find(size_t index, const std::string& name) const;
  Status Save(size_t index, const LayerResult& layer) const;
  /// Writes a file, which appears when it is complete.
  Status Write(const std::string& name, std::string_view content) const;

  /// A directory for temporary files of layer number `index`, and its removal.
  std::filesystem::path Scratch(size_t index) const;
  void RemoveScratch(size_t index) const;

  /// Adds a line to analyze.log: the time (UTC), then `text`. What cannot be logged is lost.
  void Log(std::string_view text);

 private:
  explicit RunDirectory(std::filesystem::path path) : path_(std::move(path)) {}
  Status Lock();
  Status Prepare(std::string_view run, bool restart);
  Status Remove(const char* name) const;
  std::filesystem::path LayerPath(size_t index, const std::string& name) const;

  std::filesystem::path path_;
  int lock_ = -1;  // Of the directory itself, which it is open for.
  std::mutex log_mutex_;
};

}  // namespace qstore::analyze
