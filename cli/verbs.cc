// SPDX-License-Identifier: Apache-2.0
#include "verbs.h"

#include "commands.h"
#include "help_page.h"
#include "version.h"

namespace qstore::cli {
namespace {

constexpr char kChange[] = "Make and change archives";
constexpr char kTake[] = "Take models out";
constexpr char kLook[] = "Look and check";
constexpr char kModels[] = "Make models";
constexpr char kMeasure[] = "Measure";
constexpr char kHelp[] = "Help";

constexpr Verb kVerbs[] = {
    {"pack", "Store variants of a model in one archive", kChange, AddPackCommand},
    {"add", "Add variants to an archive, in place", kChange, AddAddCommand},
    {"drop", "Drop variants from an archive, in place", kChange, AddDropCommand},
    {"compact", "Free the space that dropped variants left", kChange, AddCompactCommand},
    {"unpack", "Restore the files of a variant", kTake, AddUnpackCommand},
    {"get", "Restore a variant in a cache and print its path", kTake, AddGetCommand},
    {"mount", "Show all variants as a folder of ordinary files", kTake, AddMountCommand},
    {"cat", "Write a file or a tensor to standard output", kTake, AddCatCommand},
    {"ls", "List variants, files or tensors", kLook, AddLsCommand},
    {"inspect", "Show what an archive holds and what it costs", kLook, AddInspectCommand},
    {"view", "Show what an archive holds as pictures, in a browser", kLook, AddViewCommand},
    {"diff", "Tell what differs between two models", kLook, AddDiffCommand},
    {"verify", "Check an archive, and compare it with files", kLook, AddVerifyCommand},
    {"quantize", "Make another precision of a model", kModels, AddQuantizeCommand},
    {"synth", "Make a random model of a chosen size and shape", kModels, AddSynthCommand},
    {"analyze", "Measure how small each layer could be", kMeasure, AddAnalyzeCommand},
    {"bench", "Time saving and loading", kMeasure, AddBenchCommand},
    {"help", "Show help for a verb", kHelp, AddHelpCommand},
    {"completion", "Print a script for completion in a shell", kHelp, AddCompletionCommand},
};

}  // namespace

std::span<const Verb> Verbs() { return kVerbs; }

void AddVerbs(CLI::App* app, int* exit_code) { AddVerbs(app, kVerbs, exit_code); }

void AddVerbs(CLI::App* app, std::span<const Verb> verbs, int* exit_code) {
  for (const Verb& verb : verbs) {
    CLI::App* command = app->add_subcommand(verb.name, verb.summary);
    command->group(verb.group);
    verb.add(command, exit_code);
  }
}

std::vector<std::string> NamesOfVerbs(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* verb : app.get_subcommands({})) names.push_back(verb->get_name());
  return names;
}

const CLI::App* FindVerb(const CLI::App& app, const std::string& name) {
  for (const CLI::App* verb : app.get_subcommands({})) {
    if (verb->get_name() == name) return verb;
  }
  return nullptr;
}

std::unique_ptr<CLI::App> MakeApp(int* exit_code) {
  auto app = std::make_unique<CLI::App>(
      "QStore keeps one model in several precisions in a single lossless archive", "qstore");
  app->formatter(std::make_shared<HelpFormatter>());
  app->set_help_flag("-h,--help", "Show this help");
  app->set_version_flag("-v,--version", VersionText(), "Show version, compiler and kernels");
  app->require_subcommand(1);
  app->footer(
      "Sizes: 1kB is 1000 bytes, 1KiB is 1024. K, M, G and T count by 1000, Ki, Mi, Gi and Ti by "
      "1024.\n"
      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 corrupt or different.");
  AddVerbs(app.get(), exit_code);
  return app;
}

}  // namespace qstore::cli
