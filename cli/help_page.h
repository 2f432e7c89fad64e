// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "json_writer.h"

namespace qstore::cli {

/// An option, an argument or a verb, as help tells of it.
struct HelpEntry {
  std::vector<std::string> names;  ///< "-o", "--output"; of arguments "archive"; of verbs "pack".
  std::string value;               ///< "SIZE", "fast|balanced|max"; nothing for flags and verbs.
  std::string text;
  std::string group;  ///< The heading it stands under; nothing for the usual one.
  bool is_required = false;
  bool takes_several = false;

  /// "-o, --output OUT.qstore" or "VARIANT...".
  std::string Head() const;
};

/// What can be told of a verb, or of the command: the one source of help, man pages, completion and
/// `help --json`.
struct HelpPage {
  std::string name;  ///< "qstore bench load".
  std::string summary;
  std::vector<HelpEntry> arguments;
  std::vector<HelpEntry> options;
  std::vector<HelpEntry> verbs;
  std::string notes;  ///< Lines; those that begin with two spaces are to stay as they are.

  std::string Usage() const;
};

HelpPage PageOf(const CLI::App& app, const std::string& name);

/// At most 80 columns wide. Headings are bold with `in_color`.
std::string TextOf(const HelpPage& page, bool in_color);
/// In the language of man(7). `others` are the names of further pages.
std::string ManOf(const HelpPage& page, const std::vector<std::string>& others);
/// The members of an object of the document.
void AddTo(const HelpPage& page, JsonWriter* document);

/// Shows these pages for --help.
class HelpFormatter final : public CLI::FormatterBase {
 public:
  std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode) const override;
};

}  // namespace qstore::cli
