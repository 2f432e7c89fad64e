// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "qstore_apps/quantize_gguf.h"

namespace qstore::cli {

/// What `qstore quantize` has for GGUF files, beside the options it has for all.
class GgufArguments {
 public:
  /// The options that all sources have.
  struct Shared {
    std::string source;
    std::string output;
    std::string to;
    bool list = false;
    bool json = false;
    bool dry_run = false;
    bool overwrite = false;
    bool sync = true;
    unsigned threads = 0;
  };

  /// Whether the source is such a file, by its name.
  static bool IsGguf(const std::string& source);

  /// Adds the options that only these files have.
  void AddOptions(CLI::App& command);
  /// One of these options that was given, or null.
  const CLI::Option* given() const;
  /// Makes the files. Returns an exit code. Throws CLI::ValidationError for options that have no
  /// meaning.
  int Run(const Shared& shared) const;

 private:
  make::GgufOptions Options(const Shared& shared) const;

  bool pure_ = false;
  bool keep_output_ = false;
  bool allow_requantize_ = false;
  std::string output_type_;
  std::string embedding_type_;
  std::string importance_;
  std::vector<const CLI::Option*> options_;
};

}  // namespace qstore::cli
