// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "archive_document.h"
#include "archive_summary.h"
#include "commands.h"
#include "draw.h"
#include "open_archive.h"
#include "values.h"

namespace qstore::cli {
namespace {

struct ViewArguments {
  std::string archive;
  std::string output;
  ReadLimits limits;
  bool json = false;
};

int RunView(const ViewArguments& arguments) {
  auto archive = OpenArchive(arguments.archive, arguments.limits.open);
  if (!archive.ok()) return Report(archive.status());
  const auto summary = Summarize(*archive);
  if (!summary.ok()) return Report(summary.status());
  const auto document = ArchiveDocument(*archive, *summary, {.tensors = true}, arguments.limits);
  if (!document.ok()) return Report(document.status());
  std::vector<std::string> words = {"archive", "--open"};
  if (arguments.json) words.emplace_back("--json");
  if (!arguments.output.empty()) words.push_back("--output=" + arguments.output);
  return Draw(document->text(), std::move(words));
}

}  // namespace

void AddViewCommand(CLI::App* command, int* exit_code) {
  auto arguments = std::make_shared<ViewArguments>();
  command->add_option("archive", arguments->archive, "Archive to read: a path or a URL")
      ->required();
  command
      ->add_option("-o,--output", arguments->output,
                   "Page to write (default: in qstore-pages of the user's cache)")
      ->type_name("FILE");
  arguments->limits.AddOptions(command, "");
  AddJson(command, &arguments->json);
  command->footer(
      "Opens the page with $BROWSER or the browser of the desktop, and prints its path.\n"
      "The Python package draws it: pip install 'qstore[plots]'.");
  command->callback([=] { *exit_code = RunView(*arguments); });
}

}  // namespace qstore::cli
