// SPDX-License-Identifier: Apache-2.0
#include "gptq.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "commands.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

constexpr std::string_view kScheme = "gptq";
constexpr char kInstall[] = "pip install 'qstore[quantize]'";

// Runs before anything of the package can report, so it tells itself what is missing. The working
// directory is taken from the path: a folder there may have the name of a module.
constexpr char kProgram[] = R"(import sys
sys.path[:] = [path for path in sys.path if path]
try:
    from qstore.gptq.__main__ import main
except ImportError as error:
    sys.exit(f"qstore: {error}; GPTQ needs: pip install 'qstore[quantize]'")
sys.exit(main(sys.argv[1:]))
)";

std::vector<std::string> SplitAtCommas(const std::string& text) {
  return CLI::detail::split(text, ',');
}

bool IsBits(const std::string& text) {
  return text == "2" || text == "3" || text == "4" || text == "8";
}

std::string TargetOf(const std::string& bits) {
  if (!IsBits(bits)) {
    throw CLI::ValidationError("--to", "GPTQ has 2, 3, 4 or 8 bits, not '" + bits + "'");
  }
  return std::string(kScheme) + "-" + bits + "bit";
}

/// "4" of "gptq-4bit". Throws CLI::ValidationError.
std::string BitsOf(const std::string& target) {
  const std::string prefix = std::string(kScheme) + "-";
  const size_t end = target.rfind("bit");
  if (!target.starts_with(prefix) || end == std::string::npos || end + 3 != target.size() ||
      end < prefix.size()) {
    throw CLI::ValidationError("--to", "'" + target + "' is not gptq-Nbit; only GPTQ makes lists");
  }
  return target.substr(prefix.size(), end - prefix.size());
}

}  // namespace

void GptqArguments::AddOptions(CLI::App& command) {
  const auto add = [&](const char* name, const char* what, const char* type,
                       const CLI::Validator& check) {
    options_.push_back(
        command.add_option(name)->description(what)->option_text(type)->check(check)->group(
            "GPTQ (by the Python package)"));
  };
  const auto add_flag = [&](const char* name, const char* what) {
    return command.add_flag(name)->description(what)->group("GPTQ (by the Python package)");
  };
  bits_option_ =
      command.add_option("--bits", bits_, "With --to gptq: 2, 3, 4, 8 or a list of them")
          ->option_text("N,...")
          ->group("GPTQ (by the Python package)");
  const CLI::TypeValidator<double> number("NUMBER");
  const CLI::TypeValidator<int64_t> integer("INT");
  add("--group-size", "Input channels that share a scale; -1: all; default 128", "INT", integer);
  add("--damp", "Added to the Hessian, as a part of its mean diagonal; default 0.01", "NUMBER",
      number);
  add("--calibration", "Text file (.txt, .json, .jsonl, also .gz), c4 (default) or OWNER/NAME:FILE",
      "FILE|DATASET", CLI::Validator());
  add("--samples", "Windows of calibration text; default 128", "INT", integer);
  add("--seqlen", "Tokens of each; default 2048, or what the model takes", "INT", integer);
  add("--seed", "Of the choice of texts; default 0", "INT", integer);
  CLI::Option* symmetric = add_flag("--sym", "No zeros but the middle (default)");
  CLI::Option* asymmetric = add_flag("--asym", "A zero for each group");
  options_.push_back(symmetric->excludes(asymmetric));
  options_.push_back(asymmetric);
  options_.push_back(add_flag("--act-order", "Round the most active channels first"));
  options_.push_back(add_flag("--static-groups", "Fix all scales before the first channel"));
}

std::optional<std::string> GptqArguments::Targets(const std::string& to) const {
  if (to == kScheme) {
    if (bits_option_->count() == 0) throw CLI::ValidationError("--to", "gptq needs --bits");
    std::string targets;
    for (const std::string& bits : SplitAtCommas(bits_)) {
      targets += (targets.empty() ? "" : ",") + TargetOf(bits);
    }
    return targets;
  }
  if (!to.starts_with(kScheme) && to.find(',') == std::string::npos) return std::nullopt;
  if (bits_option_->count() > 0) throw CLI::ValidationError("--bits", "belongs to --to gptq");
  std::string targets;
  for (const std::string& target : SplitAtCommas(to)) {
    targets += (targets.empty() ? "" : ",") + TargetOf(BitsOf(target));
  }
  return targets;
}

const CLI::Option* GptqArguments::given() const {
  if (bits_option_->count() > 0) return bits_option_;
  for (const CLI::Option* option : options_) {
    if (option->count() > 0) return option;
  }
  return nullptr;
}

int GptqArguments::Run(const std::string& source, const std::string& output,
                       const std::string& targets, const std::vector<std::string>& shared) const {
  const char* named = std::getenv("QSTORE_PYTHON");
  const std::string python = named != nullptr && *named != '\0' ? named : "python3";
  std::vector<std::string> words = {python, "-c", kProgram, "--to=" + targets,
                                    "--output=" + output};
  for (const CLI::Option* option : options_) {
    if (option->count() == 0) continue;
    const bool is_flag = option->get_items_expected_max() == 0;
    words.push_back(option->get_name() + (is_flag ? "" : "=" + option->results().back()));
  }
  words.insert(words.end(), shared.begin(), shared.end());
  words.insert(words.end(), {"--", source});
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::fflush(nullptr);
  execvp(arguments[0], arguments.data());
  std::fprintf(stderr,
               "qstore: cannot run %s (%s); GPTQ needs Python 3 with: %s; QSTORE_PYTHON names "
               "another interpreter\n",
               Printable(python).c_str(), std::strerror(errno), kInstall);
  return kExitFailed;
}

}  // namespace qstore::cli
