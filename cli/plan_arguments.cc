// SPDX-License-Identifier: Apache-2.0
#include "plan_arguments.h"

#include <map>

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
  static const std::map<std::string, Level> kLevels = {
      {"fast", Level::kFast}, {"balanced", Level::kBalanced}, {"max", Level::kMax}};
  command->add_option("--level", level, "fast, balanced (default) or max")
      ->transform(CLI::CheckedTransformer(kLevels, CLI::ignore_case))
      ->type_name("LEVEL");
  command->add_option("--parent", parents, what_of_parent)
      ->check(CLI::Validator(CheckParent, ""))
      ->type_name("CHILD=PARENT")
      ->allow_extra_args(false);
  command->add_option("--direct", direct, what_of_direct)
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("--threads", threads, "0: all processors (default)")->type_name("N");
  command->add_option("--memory", memory, "Soft memory limit (512MiB)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
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
