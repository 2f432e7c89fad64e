// SPDX-License-Identifier: Apache-2.0
#include "complete.h"

#include <algorithm>
#include <string_view>

#include "help_page.h"
#include "open_archive.h"
#include "qstore/archive.h"
#include "qstore/source.h"
#include "verbs.h"

namespace qstore::cli {
namespace {

constexpr char kBash[] = R"(_qstore() {
  local IFS=$'\n'
  COMPREPLY=($("${COMP_WORDS[0]}" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -o bashdefault -F _qstore qstore
)";

constexpr char kZsh[] = R"(#compdef qstore
_qstore() {
  local -a found
  found=("${(@f)$("${words[1]}" completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n ${found[1]} ]]; then compadd -a found; else _files; fi
}
compdef _qstore qstore
)";

constexpr char kFish[] = R"(function __qstore_words
  set -l words (commandline -opc) (commandline -ct)
  set -l found ($words[1] completion words -- $words[2..-1] 2>/dev/null)
  if test -n "$found"
    printf '%s\n' $found
  else
    __fish_complete_path (commandline -ct)
  end
end
complete -c qstore -f -a '(__qstore_words)'
)";

// Longer lists help nobody.
constexpr size_t kMostNames = 2000;

/// What has been read of a line, and what comes next.
struct Line {
  const CLI::App* app = nullptr;
  const CLI::Option* awaits = nullptr;  // Whose value the next word is.
  std::vector<std::string> arguments;   // No options, and no values of theirs.
};

const CLI::Option* FindOption(const CLI::App& app, const std::string& word) {
  return word.starts_with("-") && word != "-" ? app.get_option_no_throw(word) : nullptr;
}

void Read(const std::string& word, Line* line) {
  if (line->awaits != nullptr) {
    line->awaits = nullptr;
    return;
  }
  const size_t equals = word.find('=');
  if (const CLI::Option* option = FindOption(*line->app, word.substr(0, equals))) {
    const bool takes_value = option->get_items_expected_max() > 0;
    if (takes_value && equals == std::string::npos) line->awaits = option;
    return;
  }
  if (word.starts_with("-")) return;
  const CLI::App* const verb = FindVerb(*line->app, word);
  if (line->arguments.empty() && verb != nullptr) {
    line->app = verb;
  } else {
    line->arguments.push_back(word);
  }
}

std::vector<std::string> SplitAtBars(const std::string& text) {
  std::vector<std::string> words;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('|', at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return words;
}

// "fast", "balanced", "max" of an option that takes one of these words; nothing of others.
std::vector<std::string> WordsOf(const CLI::Option& option) {
  const std::string form = option.get_type_name();
  const bool is_words = form.find('|') != std::string::npos &&
                        std::none_of(form.begin(), form.end(),
                                     [](char c) { return c == ':' || (c >= 'A' && c <= 'Z'); });
  return is_words ? SplitAtBars(form) : std::vector<std::string>();
}

// The argument that comes next.
const CLI::Option* NextArgument(const Line& line) {
  std::vector<const CLI::Option*> positionals;
  for (const CLI::Option* option : line.app->get_options()) {
    if (option->get_positional()) positionals.push_back(option);
  }
  const size_t at = line.arguments.size();
  if (at < positionals.size()) return positionals[at];
  if (positionals.empty() || positionals.back()->get_items_expected_max() <= 1) return nullptr;
  return positionals.back();
}

// Files and tensors of a variant.
std::vector<std::string> ContentsOf(const Archive& archive, const std::string& name) {
  std::vector<std::string> names;
  const auto v = archive.FindVariant(name);
  if (!v.ok()) return names;
  const VariantInfo variant = archive.variant(*v);
  const size_t files = std::min(variant.file_count, kMostNames);
  const size_t tensors = std::min(variant.tensor_count, kMostNames);
  for (size_t f = 0; f < files; ++f) names.emplace_back(archive.file(variant.first_file + f).path);
  for (size_t t = 0; t < tensors; ++t) {
    names.emplace_back(archive.tensor(variant.first_tensor + t).name);
  }
  return names;
}

std::vector<std::string> NamesFor(const std::string& argument, const Line& line) {
  const bool is_variant = argument == "variant" || argument == "variants";
  // A key pressed must not have to wait for a server.
  if (line.arguments.empty() || IsUrl(line.arguments.front())) return {};
  if (!is_variant && argument != "name") return {};
  const auto archive = Archive::Open(line.arguments.front());
  if (!archive.ok()) return {};
  if (is_variant) return NamesOfVariants(*archive);
  return line.arguments.size() < 2 ? std::vector<std::string>()
                                   : ContentsOf(*archive, line.arguments[1]);
}

std::vector<std::string> OptionsOf(const CLI::App& app) {
  std::vector<std::string> names;
  for (const HelpEntry& option : PageOf(app, "").options) {
    names.insert(names.end(), option.names.begin(), option.names.end());
  }
  return names;
}

std::vector<std::string> Candidates(const Line& line, const std::string& word) {
  if (line.awaits != nullptr) return WordsOf(*line.awaits);
  if (word.starts_with("-")) return OptionsOf(*line.app);
  std::vector<std::string> found = NamesOfVerbs(*line.app);
  if (!found.empty() && line.arguments.empty()) return found;
  const CLI::Option* const argument = NextArgument(line);
  if (argument == nullptr) return {};
  if (argument->get_single_name() == "verbs")
    return line.arguments.empty() ? NamesOfVerbs(*line.app->get_parent())
                                  : std::vector<std::string>();
  found = WordsOf(*argument);
  return found.empty() ? NamesFor(argument->get_single_name(), line) : found;
}

}  // namespace

std::string CompletionScript(const std::string& shell) {
  if (shell == "zsh") return kZsh;
  return shell == "fish" ? kFish : kBash;
}

std::vector<std::string> Complete(const CLI::App& app, std::vector<std::string> words) {
  std::string word = words.empty() ? "" : words.back();
  if (!words.empty()) words.pop_back();
  Line line{&app, nullptr, {}};
  for (size_t i = 0; i < words.size(); ++i) {
    // bash makes a word of each "=".
    if (words[i] == "=") continue;
    Read(words[i], &line);
  }
  if (word == "=" && line.awaits != nullptr) word.clear();
  // zsh and fish leave --option=value in one piece.
  std::string before;
  const size_t equals = word.find('=');
  if (line.awaits == nullptr && equals != std::string::npos) {
    line.awaits = FindOption(*line.app, word.substr(0, equals));
    if (line.awaits == nullptr) return {};
    before = word.substr(0, equals + 1);
  }
  std::vector<std::string> fitting;
  for (const std::string& found : Candidates(line, word)) {
    if ((before + found).starts_with(word)) fitting.push_back(before + found);
  }
  return fitting;
}

}  // namespace qstore::cli
