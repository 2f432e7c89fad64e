// SPDX-License-Identifier: Apache-2.0
#include <iostream>

#include "commands.h"
#include "terminal.h"

namespace qstore::cli {

int Report(const Status& status) {
  if (status.ok()) return kExitDone;
  const std::string message = Printable(status.message());  // Before anything is printed.
  std::cerr << "qstore: " << message << " (" << ErrorCodeName(status.code()) << ")\n";
  const bool damaged =
      status.code() == ErrorCode::kCorrupt || status.code() == ErrorCode::kMismatch;
  return damaged ? kExitCorrupt : kExitFailed;
}

}  // namespace qstore::cli
