// SPDX-License-Identifier: Apache-2.0
#include "commands.h"
#include "values.h"

namespace qstore::cli {

void ReadLimits::AddOptions(CLI::App* command, const std::string& what) {
  TakeSize(command->add_option("--max-memory", open.max_memory,
                               "Most memory for index and decoding (default: 640MiB)"));
  if (what.empty()) return;
  TakeSize(command->add_option("--max-bytes", max_bytes,
                               "Fail when " + what + " have more bytes (default: no limit)"));
}

}  // namespace qstore::cli
