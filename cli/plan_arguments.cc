// SPDX-License-Identifier: Apache-2.0
#include "plan_arguments.h"

#include "values.h"

namespace qstore::cli {
namespace {

std::string CheckParent(const std::string& text) {
  const size_t equals = text.find('=');
  const bool fits = equals != std::string::npos && equals > 0 && equals + 1 < text.size();
  return fits ? std::string() : "'" + text + "' is not CHILD=PARENT";
}

}  // namespace

void PlanArguments::AddOptions(CLI::App* command, const std::string& what_of_parent,
                               const std::string& what_of_direct) {
  TakeLevel(
      command->add_option("--level", level, "How much time packing may take (default: balanced)"));
  command->add_option("--parent", parents, what_of_parent + "; may be repeated")
      ->check(CLI::Validator(CheckParent, ""))
      ->type_name("CHILD=PARENT")
      ->allow_extra_args(false);
  command->add_option("--direct", direct, what_of_direct + "; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);
  AddThreads(command, &threads);
  TakeSize(command->add_option("--memory", memory, "Soft memory limit (default: 512MiB)"));
}

std::vector<ParentChoice> PlanArguments::Choices() const {
  std::vector<ParentChoice> choices;
  for (const std::string& text : parents) {
    const size_t equals = text.find('=');
    choices.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return choices;
}

}  // namespace qstore::cli
