// SPDX-License-Identifier: Apache-2.0
#include "commands.h"

namespace qstore::cli {

void ReadLimits::AddOptions(CLI::App* command, const std::string& what) {
  command
      ->add_option("--max-memory", open.max_memory,
                   "Most memory that index and decoding may take (640MiB)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  if (what.empty()) return;
  command->add_option("--max-bytes", max_bytes, "Fail when " + what + " are more (no limit)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
}

}  // namespace qstore::cli
