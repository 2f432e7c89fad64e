// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <iostream>

#include "commands.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

bool errors_are_json = false;

void Tell(std::string_view code, const std::string& message, int exit_code) {
  if (!errors_are_json) return;
  JsonWriter document;
  document.BeginObject();
  document.BeginObject("error");
  document.Add("code", code);
  document.Add("message", message);
  document.Add("exit_code", exit_code);
  document.End();
  document.End();
  PrintJson(document);
}

std::string Name() { return HasColors(STDERR_FILENO) ? "\033[1;31mqstore:\033[0m " : "qstore: "; }

}  // namespace

void TellErrorsAsJson() { errors_are_json = true; }

int Report(const Status& status) {
  if (status.ok()) return kExitDone;
  const std::string message = Printable(status.message());  // Before anything is printed.
  const std::string_view code = ErrorCodeName(status.code());
  std::cerr << Name() << message << " (" << code << ")\n";
  const bool damaged =
      status.code() == ErrorCode::kCorrupt || status.code() == ErrorCode::kMismatch;
  const int exit_code = damaged ? kExitCorrupt : kExitFailed;
  Tell(code, message, exit_code);
  return exit_code;
}

int ReportUsage(const std::string& message, const std::string& hint) {
  std::cerr << Name() << Printable(message) << " (usage)\n" << hint << '\n';
  Tell("usage", Printable(message), kExitUsage);
  return kExitUsage;
}

}  // namespace qstore::cli
