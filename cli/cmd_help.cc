// SPDX-License-Identifier: Apache-2.0
// Commands that tell of the command itself: help and completion.
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "complete.h"
#include "help_page.h"
#include "suggest.h"
#include "terminal.h"
#include "values.h"
#include "verbs.h"

namespace qstore::cli {
namespace {

struct HelpArguments {
  std::vector<std::string> verbs;
  std::string man;
  bool json = false;
};

/// A page and those of the verbs below it, outermost first.
void CollectPages(const CLI::App& app, const std::string& name, std::vector<HelpPage>* pages) {
  pages->push_back(PageOf(app, name));
  for (const CLI::App* verb : app.get_subcommands({})) {
    CollectPages(*verb, name + " " + verb->get_name(), pages);
  }
}

std::string ManName(const HelpPage& page) {
  std::string name = page.name;
  for (char& c : name) c = c == ' ' ? '-' : c;
  return name;
}

int WriteManPages(const std::vector<HelpPage>& pages, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  for (size_t i = 0; i < pages.size(); ++i) {
    std::vector<std::string> others;
    for (size_t j = 0; j < pages.size(); ++j) {
      if (i == 0 ? j > 0 : j == 0) others.push_back(ManName(pages[j]));
    }
    const auto path = folder / (ManName(pages[i]) + ".1");
    const std::string text = ManOf(pages[i], others);
    std::FILE* const file = std::fopen(path.c_str(), "w");
    bool is_written = file != nullptr && std::fputs(text.c_str(), file) >= 0;
    if (file != nullptr) is_written = std::fclose(file) == 0 && is_written;
    if (!is_written) return Report(IoError(path.string() + ": " + std::strerror(errno)));
  }
  return kExitDone;
}

void PrintPages(const std::vector<HelpPage>& pages) {
  JsonWriter document;
  document.BeginObject();
  document.Add("version", QSTORE_VERSION);
  document.BeginArray("pages");
  for (const HelpPage& page : pages) {
    document.BeginObject();
    AddTo(page, &document);
    document.End();
  }
  document.End();
  document.End();
  PrintJson(document);
}

int RunHelp(const HelpArguments& arguments) {
  int unused = kExitDone;
  const auto app = MakeApp(&unused);
  const CLI::App* shown = app.get();
  std::string name = "qstore";
  for (const std::string& word : arguments.verbs) {
    const CLI::App* const below = FindVerb(*shown, word);
    if (below == nullptr) {
      throw CLI::ValidationError("", "there is no verb '" + name.substr(std::strlen("qstore")) +
                                         (shown == app.get() ? "" : " ") + word + "'" +
                                         DidYouMean(word, NamesOfVerbs(*shown)));
    }
    shown = below;
    name += " " + word;
  }
  std::vector<HelpPage> pages;
  CollectPages(*shown, name, &pages);
  if (!arguments.man.empty()) return WriteManPages(pages, arguments.man);
  if (arguments.json) {
    PrintPages(pages);
  } else {
    std::cout << TextOf(pages.front(), HasColors(STDOUT_FILENO));
  }
  return kExitDone;
}

struct CompletionArguments {
  std::string shell;
  std::vector<std::string> words;
};

int RunCompletion(const CompletionArguments& arguments) {
  if (arguments.shell != kCompletedWords) {
    std::cout << CompletionScript(arguments.shell);
    return kExitDone;
  }
  int unused = kExitDone;
  const auto app = MakeApp(&unused);
  for (const std::string& word : Complete(*app, arguments.words)) std::cout << word << '\n';
  return kExitDone;
}

}  // namespace

void AddHelpCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<HelpArguments>();
  command->add_option("verbs", arguments->verbs, "Verb, such as 'pack' or 'bench load'")
      ->type_name("VERB");
  command->add_option("--man", arguments->man, "Write man pages to this directory")
      ->type_name("DIR");
  AddJson(command, &arguments->json);
  command->callback([=] { *exit_code = RunHelp(*arguments); });
}

void AddCompletionCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<CompletionArguments>();
  // What the scripts call comes beside the shells, and is no word for users.
  CLI::Option* shell = command->add_option("shell", arguments->shell, "Shell that is to complete");
  TakeWord(shell, {"bash", "zsh", "fish", kCompletedWords});
  shell->required()->type_name("bash|zsh|fish");
  command->add_option("words", arguments->words, "")->group("");
  command->footer(
      "Put one of these lines into the file that your shell reads first:\n"
      "  source <(qstore completion bash)              # ~/.bashrc\n"
      "  source <(qstore completion zsh)               # ~/.zshrc, after compinit\n"
      "  qstore completion fish | source               # ~/.config/fish/config.fish");
  command->callback([=] { *exit_code = RunCompletion(*arguments); });
}

}  // namespace qstore::cli
