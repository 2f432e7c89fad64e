// SPDX-License-Identifier: Apache-2.0
#include "values.h"

#include <charconv>
#include <cmath>

#include "suggest.h"

namespace qstore::cli {
namespace {

constexpr char kSizeForm[] = "is no size, such as 512MiB or 2GB";

// The factor of a unit in lower case, or 0.
double FactorOf(std::string unit) {
  if (unit.empty() || unit == "b") return 1;
  const size_t power = std::string_view("kmgtpe").find(unit.front());
  if (power == std::string_view::npos) return 0;
  unit.erase(0, 1);
  const bool is_binary = unit.starts_with("i");
  if (is_binary) unit.erase(0, 1);
  if (!unit.empty() && unit != "b") return 0;
  return std::pow(is_binary ? 1024.0 : 1000.0, static_cast<double>(power + 1));
}

std::string Quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

// A validator that leaves no trace in the help.
CLI::Validator Silent(std::function<std::string(std::string&)> check) {
  return {std::move(check), "", ""};
}

}  // namespace

std::string Listed(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text.append(text.empty() ? "" : ", ").append(word);
  return text;
}

Result<uint64_t> ParseSize(std::string_view text) {
  const Status bad = InvalidArgument(Quoted(text) + " " + kSizeForm);
  const size_t end = text.find_first_not_of("0123456789.");
  const std::string_view number = text.substr(0, end);
  std::string unit(end == std::string_view::npos ? "" : text.substr(end));
  const size_t begin = unit.find_first_not_of(' ');
  const double factor =
      FactorOf(CLI::detail::to_lower(begin > unit.size() ? "" : unit.substr(begin)));
  uint64_t whole = 0;
  const char* const behind = number.data() + number.size();
  const auto as_whole = std::from_chars(number.data(), behind, whole);
  if (number.empty() || factor == 0) return bad;
  if (as_whole.ec == std::errc() && as_whole.ptr == behind) {
    const auto unit_bytes = static_cast<uint64_t>(factor);
    if (whole > UINT64_MAX / unit_bytes) return InvalidArgument(Quoted(text) + " is too much");
    return whole * unit_bytes;
  }
  double part = 0;
  const auto as_part = std::from_chars(number.data(), behind, part);
  if (as_part.ec != std::errc() || as_part.ptr != behind) return bad;
  if (part * factor >= 0x1p64) return InvalidArgument(Quoted(text) + " is too much");
  return static_cast<uint64_t>(part * factor);
}

CLI::Option* TakeSize(CLI::Option* option) {
  return option->type_name("SIZE")->transform(Silent([](std::string& text) -> std::string {
    const auto size = ParseSize(text);
    if (!size.ok()) return size.status().message();
    text = std::to_string(*size);
    return "";
  }));
}

CLI::Option* TakeRate(CLI::Option* option) {
  return option->type_name("RATE")->transform(Silent([](std::string& text) -> std::string {
    std::string size = text;
    if (size.ends_with("/s")) size.resize(size.size() - 2);
    const bool has_unit = size.find_first_not_of("0123456789.") != std::string::npos;
    const auto bytes = ParseSize(has_unit ? size : size + "MiB");
    if (!bytes.ok() || *bytes == 0) {
      return Quoted(text) + " is no rate, such as 200MB/s; a number alone is in MiB/s";
    }
    text = std::to_string(static_cast<double>(*bytes) / (1 << 20));
    return "";
  }));
}

void TakeWords(CLI::Option* option, std::vector<std::pair<std::string, std::string>> words) {
  std::vector<std::string> names;
  std::string form;
  for (const auto& [word, value] : words) {
    names.push_back(word);
    form.append(form.empty() ? "" : "|").append(word);
  }
  option->type_name(form)->transform(
      Silent([words = std::move(words), names](std::string& text) -> std::string {
        const std::string given = CLI::detail::to_lower(text);
        for (const auto& [word, value] : words) {
          if (given != word) continue;
          text = value;
          return "";
        }
        return Quoted(text) + " is none of " + Listed(names) + DidYouMean(given, names);
      }));
}

CLI::Option* TakeWord(CLI::Option* option, const std::vector<std::string>& words) {
  std::vector<std::pair<std::string, std::string>> same;
  for (const std::string& word : words) same.emplace_back(word, word);
  TakeWords(option, std::move(same));
  return option;
}

namespace {

const std::vector<std::pair<std::string, Level>>& Levels() {
  static const std::vector<std::pair<std::string, Level>> kLevels = {
      {"fast", Level::kFast}, {"balanced", Level::kBalanced}, {"max", Level::kMax}};
  return kLevels;
}

}  // namespace

CLI::Option* TakeLevel(CLI::Option* option) { return TakeEnum(option, Levels()); }

std::string LevelWord(Level level) {
  for (const auto& [word, value] : Levels()) {
    if (value == level) return word;
  }
  return "";
}

CLI::Option* AddThreads(CLI::App* command, unsigned* threads, const std::string& what) {
  const std::string text = what.empty() ? "Threads that work" : what;
  return command->add_option("--threads", *threads, text + " (default: one for each processor)")
      ->type_name("N");
}

void RefuseStandardOutput(const std::string& option, const std::string& path) {
  if (path != "-") return;
  throw CLI::ValidationError(
      option, "an archive cannot be written to standard output; './-' is a file of that name");
}

CLI::Option* AddJson(CLI::App* command, bool* json) {
  return command->add_flag("--json", *json, "Print the result, or the error, as one JSON document");
}

}  // namespace qstore::cli
