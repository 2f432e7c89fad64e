// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "commands.h"
#include "help_page.h"
#include "program.h"
#include "suggest.h"
#include "terminal.h"
#include "verbs.h"

namespace {

using namespace qstore::cli;

// The verb on the command line, or one of `bench`.
const CLI::App& ChosenVerb(const CLI::App& app, std::string* name) {
  const auto chosen = app.get_subcommands();
  if (chosen.empty()) return app;
  name->append(" ").append(chosen.front()->get_name());
  return ChosenVerb(*chosen.front(), name);
}

// An error in the words of the parser, with what was probably meant.
std::string MessageOf(const CLI::ParseError& error, const CLI::App& app, const CLI::App& verb) {
  if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::ExtrasError)) {
    for (const std::string& word : app.remaining(true)) {
      if (!word.starts_with("-")) return "'" + word + "' is one argument too many";
      const std::string name = word.substr(0, word.find('='));
      std::vector<std::string> known;
      for (const HelpEntry& option : PageOf(verb, "").options) {
        for (const std::string& each : option.names) known.push_back(each);
      }
      return "there is no option " + name + DidYouMean(name, known);
    }
  }
  std::string message = error.what();
  if (message.starts_with(": ")) message.erase(0, 2);
  return message;
}

// The first word is no verb of the command, or of the sub-command before it.
std::string CheckVerb(const CLI::App& app, int argc, char** argv, int at) {
  const std::vector<std::string> verbs = NamesOfVerbs(app);
  if (verbs.empty()) return "";
  if (at >= argc) return "name a verb";
  const std::string word = argv[at];
  if (word.starts_with("-")) return "";
  const CLI::App* const verb = FindVerb(app, word);
  if (verb != nullptr) return CheckVerb(*verb, argc, argv, at + 1);
  return "there is no verb '" + word + "'" + DidYouMean(word, verbs);
}

bool Has(int argc, char** argv, const char* option) {
  for (int i = 1; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
    if (std::strcmp(argv[i], option) == 0) return true;
  }
  return false;
}

int Run(int argc, char** argv) {
  int exit_code = kExitDone;
  const auto app = MakeApp(&exit_code);
  RunVerbOfProgram(argc, argv, NamesOfVerbs(*app));
  if (Has(argc, argv, "--json")) TellErrorsAsJson();
  HandleSignals();
  const std::string wrong = CheckVerb(*app, argc, argv, 1);
  if (!wrong.empty()) return ReportUsage(wrong, "'qstore help' lists the verbs.");
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app->exit(error);
    std::string name = "qstore";
    const CLI::App& verb = ChosenVerb(*app, &name);
    return ReportUsage(name + ": " + MessageOf(error, *app, verb),
                       "'" + name + " --help' tells more.");
  }
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  KeepStandardStreams();
  try {
    return Finish(Run(argc, argv));
  } catch (const std::bad_alloc&) {
    std::fputs("qstore: out of memory (limit)\n", stderr);
    if (Has(argc, argv, "--json")) {
      std::puts(R"({"error": {"code": "limit", "message": "out of memory", "exit_code": 1}})");
    }
    return Finish(kExitFailed);
  }
}
