// SPDX-License-Identifier: Apache-2.0
#include "variant_arguments.h"

#include <utility>

#include "terminal.h"

namespace qstore::cli {

void VariantArguments::AddOptions(CLI::App* command, const std::string& what,
                                  const std::string& what_of_each) {
  command->add_option("variants", named, what)->type_name("NAME=PATH");
  command->add_option("--each", folders, what_of_each + "; may be repeated")
      ->type_name("DIR")
      ->allow_extra_args(false);
}

Result<std::vector<VariantSource>> VariantArguments::List() const {
  std::vector<VariantSource> variants = ParseVariants(named);
  for (const std::string& folder : folders) {
    auto found = ListVariants(folder);
    if (!found.ok()) return found.status();
    for (VariantSource& each : *found) variants.push_back(std::move(each));
  }
  return variants;
}

}  // namespace qstore::cli
