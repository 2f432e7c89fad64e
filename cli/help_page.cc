// SPDX-License-Identifier: Apache-2.0
#include "help_page.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "terminal.h"

namespace qstore::cli {
namespace {

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return c == '-' ? '_' : static_cast<char>(std::toupper(c));
  });
  return text;
}

// What stands for the value: what the verb says, or the name of an argument.
std::string ValueOf(const CLI::Option& option) {
  if (!option.get_option_text().empty()) return option.get_option_text();
  std::string type = option.get_type_name();
  type.resize(std::min(type.find(':'), type.size()));
  if (type == "UINT" || type == "INT") return "N";
  if (type == "FLOAT") return "NUMBER";
  if (!option.get_positional()) return type == "TEXT" ? Upper(option.get_single_name()) : type;
  if (type != "TEXT" && type != "NAME") return type;
  std::string name = option.get_single_name();
  if (option.get_items_expected_max() > 1 && name.ends_with("s")) name.pop_back();
  return Upper(name);
}

HelpEntry EntryOf(const CLI::Option& option) {
  HelpEntry entry;
  if (option.get_positional()) {
    entry.names = {option.get_single_name()};
  } else {
    for (const std::string& name : option.get_snames()) entry.names.push_back("-" + name);
    for (const std::string& name : option.get_lnames()) entry.names.push_back("--" + name);
  }
  const bool is_flag = option.get_items_expected_max() == 0;
  entry.value = is_flag ? "" : ValueOf(option);
  entry.text = option.get_description();
  entry.group = option.get_group() == "Options" ? "" : option.get_group();
  entry.is_required = option.get_required();
  entry.takes_several = option.get_positional() && option.get_items_expected_max() > 1;
  return entry;
}

constexpr size_t kWidth = 80;
constexpr size_t kTextColumn = 28;

// `text` in lines of words, all but the first indented; those that begin with two spaces stay.
void AppendWrapped(const std::string& text, size_t column, size_t indent, std::string* out) {
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("  ")) {
      out->append(line).append("\n");
      continue;
    }
    bool is_first = true;
    for (size_t word = 0; word < line.size();) {
      const size_t stop = std::min(line.find(' ', word), line.size());
      const size_t size = stop - word;
      if (!is_first && column + 1 + size > kWidth) {
        out->append("\n").append(indent, ' ');
        column = indent;
        is_first = true;
      }
      if (!is_first) out->push_back(' ');
      column += size + (is_first ? 0 : 1);
      is_first = false;
      out->append(line, word, size);
      word = stop + 1;
    }
    out->push_back('\n');
    column = indent;
    if (at <= text.size()) out->append(indent, ' ');
  }
}

void AppendEntry(const HelpEntry& entry, std::string* out) {
  std::string head = "  " + entry.Head();
  if (head.size() + 2 > kTextColumn) {
    out->append(head).append("\n");
    head.clear();
  }
  head.resize(kTextColumn, ' ');
  out->append(head);
  AppendWrapped(entry.text + (entry.is_required && !entry.value.empty() && entry.names[0][0] == '-'
                                  ? " (required)"
                                  : ""),
                kTextColumn, kTextColumn, out);
}

// Entries under their headings, in the order in which these first come.
void AppendEntries(const std::vector<HelpEntry>& entries, const std::string& usual, bool in_color,
                   std::string* out) {
  std::vector<std::string> groups;
  for (const HelpEntry& entry : entries) {
    if (std::find(groups.begin(), groups.end(), entry.group) == groups.end()) {
      groups.push_back(entry.group);
    }
  }
  for (const std::string& group : groups) {
    out->append("\n").append(Bold((group.empty() ? usual : group) + ":", in_color)).append("\n");
    for (const HelpEntry& entry : entries) {
      if (entry.group == group) AppendEntry(entry, out);
    }
  }
}

// A line that roff takes as text.
std::string Roff(const std::string& text) {
  std::string out;
  bool is_first = true;
  for (const char c : text) {
    if (is_first && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    is_first = c == '\n';
  }
  return out;
}

void AppendManEntries(const std::vector<HelpEntry>& entries, const char* usual, std::string* out) {
  std::string group = "\n";
  for (const HelpEntry& entry : entries) {
    if (entry.group != group) {
      group = entry.group;
      out->append(".SH ").append(Roff(Upper(group.empty() ? usual : group))).append("\n");
    }
    out->append(".TP\n.B ").append(Roff(entry.Head())).append("\n");
    out->append(Roff(entry.text)).append("\n");
  }
}

void AppendManNotes(const std::string& notes, std::string* out) {
  if (notes.empty()) return;
  out->append(".SH NOTES\n");
  bool is_kept = false;
  for (size_t at = 0; at < notes.size();) {
    const size_t end = std::min(notes.find('\n', at), notes.size());
    const std::string line = notes.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("  ") != is_kept) out->append(is_kept ? ".EE\n" : ".EX\n");
    is_kept = line.starts_with("  ");
    out->append(is_kept ? "" : ".PP\n").append(Roff(line)).append("\n");
  }
  if (is_kept) out->append(".EE\n");
}

void AddEntries(const char* name, const std::vector<HelpEntry>& entries, JsonWriter* document) {
  document->BeginArray(name);
  for (const HelpEntry& entry : entries) {
    document->BeginObject();
    document->Add("names", entry.names);
    document->Add("value", entry.value);
    document->Add("text", entry.text);
    document->Add("group", entry.group);
    document->Add("required", entry.is_required);
    document->Add("several", entry.takes_several);
    document->End();
  }
  document->End();
}

}  // namespace

std::string HelpEntry::Head() const {
  if (names.front().front() != '-') {
    return (value.empty() ? names.front() : value) + (takes_several ? "..." : "");
  }
  std::string head;
  for (const std::string& name : names) head.append(head.empty() ? "" : ", ").append(name);
  return value.empty() ? head : head + " " + value;
}

std::string HelpPage::Usage() const {
  std::string usage = name;
  if (!options.empty()) usage += " [OPTIONS]";
  for (const HelpEntry& entry : arguments) {
    usage += entry.is_required ? " " + entry.Head() : " [" + entry.Head() + "]";
  }
  return verbs.empty() ? usage : usage + " VERB ...";
}

HelpPage PageOf(const CLI::App& app, const std::string& name) {
  HelpPage page;
  page.name = name;
  page.summary = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    (option->get_positional() ? page.arguments : page.options).push_back(EntryOf(*option));
  }
  for (const CLI::App* verb : app.get_subcommands({})) {
    HelpEntry entry;
    entry.names = {verb->get_name()};
    entry.text = verb->get_description();
    entry.group = verb->get_group() == "Subcommands" ? "" : verb->get_group();
    page.verbs.push_back(std::move(entry));
  }
  page.notes = app.get_footer();
  return page;
}

std::string TextOf(const HelpPage& page, bool in_color) {
  std::string out = page.summary + ".\n\n";
  AppendWrapped(Bold("Usage:", in_color) + " " + page.Usage(), 0, 7, &out);
  AppendEntries(page.arguments, "Arguments", in_color, &out);
  AppendEntries(page.verbs, "Verbs", in_color, &out);
  AppendEntries(page.options, "Options", in_color, &out);
  if (!page.notes.empty()) {
    out += '\n';
    AppendWrapped(page.notes, 0, 0, &out);
  }
  if (!page.verbs.empty()) out += "\n'qstore help VERB' tells more of a verb.\n";
  return out;
}

std::string ManOf(const HelpPage& page, const std::vector<std::string>& others) {
  std::string title = page.name;
  std::replace(title.begin(), title.end(), ' ', '-');
  std::string out = ".TH \"" + Roff(title) + "\" 1 \"\" \"qstore " QSTORE_VERSION "\" \"QStore\"\n";
  out += ".SH NAME\n" + Roff(title) + " \\- " + Roff(page.summary) + "\n";
  out += ".SH SYNOPSIS\n.B " + Roff(page.Usage()) + "\n";
  AppendManEntries(page.arguments, "arguments", &out);
  AppendManEntries(page.verbs, "verbs", &out);
  AppendManEntries(page.options, "options", &out);
  AppendManNotes(page.notes, &out);
  if (others.empty()) return out;
  out += ".SH SEE ALSO\n";
  std::string list;
  for (const std::string& other : others) {
    list += (list.empty() ? "" : ",\n") + (".BR " + Roff(other)) + " (1)";
  }
  return out + list + "\n";
}

void AddTo(const HelpPage& page, JsonWriter* document) {
  document->Add("name", page.name);
  document->Add("summary", page.summary);
  document->Add("usage", page.Usage());
  document->Add("notes", page.notes);
  AddEntries("arguments", page.arguments, document);
  AddEntries("options", page.options, document);
}

std::string HelpFormatter::make_help(const CLI::App* app, std::string name,
                                     CLI::AppFormatMode) const {
  return TextOf(PageOf(*app, name), HasColors(STDOUT_FILENO));
}

}  // namespace qstore::cli
