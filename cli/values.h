// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore/level.h"
#include "qstore/status.h"

// How values of options are read, so that one kind of value means the same in all verbs.

namespace qstore::cli {

/// "a, b, c".
std::string Listed(const std::vector<std::string>& words);

/// Bytes of a text such as "512MiB", "2GB", "1.5G" or "4096": kB, MB, GB, TB and K, M, G, T count
/// by 1000, KiB, Ki and so on by 1024, in upper or lower case. Errors: kInvalidArgument.
Result<uint64_t> ParseSize(std::string_view text);

/// The option takes a size as of ParseSize.
CLI::Option* TakeSize(CLI::Option* option);

/// The option takes a rate in MiB/s: a number, or a size of which that many bytes a second.
CLI::Option* TakeRate(CLI::Option* option);

/// The option takes one of these words, in upper or lower case, and gets the value beside it. Help
/// shows "a|b|c". Values are integers or of an enum.
template <class T>
CLI::Option* TakeEnum(CLI::Option* option, const std::vector<std::pair<std::string, T>>& words);
/// The option, or each element of its list, is one of these words.
CLI::Option* TakeWord(CLI::Option* option, const std::vector<std::string>& words);

/// fast, balanced or max.
CLI::Option* TakeLevel(CLI::Option* option);
std::string LevelWord(Level level);

/// --threads, with what they do in this verb.
CLI::Option* AddThreads(CLI::App* command, unsigned* threads, const std::string& what = "");
/// Throws CLI::ValidationError for "-", which many programs take for standard output.
void RefuseStandardOutput(const std::string& option, const std::string& path);

/// --json.
CLI::Option* AddJson(CLI::App* command, bool* json);

/// The words of an option, and what to read in their place.
void TakeWords(CLI::Option* option, std::vector<std::pair<std::string, std::string>> words);

template <class T>
CLI::Option* TakeEnum(CLI::Option* option, const std::vector<std::pair<std::string, T>>& words) {
  std::vector<std::pair<std::string, std::string>> numbers;
  for (const auto& [word, value] : words) {
    numbers.emplace_back(word, std::to_string(static_cast<int64_t>(value)));
  }
  TakeWords(option, std::move(numbers));
  return option;
}

}  // namespace qstore::cli
