// SPDX-License-Identifier: Apache-2.0
#include "calibrated.h"

#include <utility>

#include "program.h"
#include "qstore_apps/targets.h"

namespace qstore::cli {
namespace {

constexpr char kInstall[] = "pip install 'qstore[quantize]'";
constexpr char kGroup[] = "GPTQ (by the Python package)";

}  // namespace

void CalibratedArguments::AddOptions(CLI::App& command) {
  const auto add = [&](const char* name, const char* what, const char* type,
                       const CLI::Validator& check) {
    options_.push_back(
        command.add_option(name)->description(what)->option_text(type)->check(check)->group(
            kGroup));
  };
  const auto add_flag = [&](const char* name, const char* what) {
    return command.add_flag(name)->description(what)->group(kGroup);
  };
  bits_option_ = command
                     .add_option("--bits", bits_,
                                 "Bits with --to gptq: 2, 3, 4, 8, or several with commas between")
                     ->option_text("N,...")
                     ->group(kGroup);
  const CLI::TypeValidator<double> number("NUMBER");
  const CLI::TypeValidator<int64_t> integer("INT");
  add("--group-size", "Input channels that share a scale; -1 is all (default: 128)", "INT",
      integer);
  add("--damp", "Part of its mean diagonal to add to the Hessian (default: 0.01)", "NUMBER",
      number);
  add("--calibration",
      "Calibration text: a .txt, .json, .jsonl or .gz file, or OWNER/NAME:FILE (default: c4)",
      "FILE|DATASET", CLI::Validator());
  add("--samples", "Windows of calibration text (default: 128)", "INT", integer);
  add("--seqlen", "Tokens of each window (default: 2048, or what the model takes)", "INT", integer);
  add("--seed", "Seed for the choice of texts (default: 0)", "INT", integer);
  CLI::Option* symmetric = add_flag("--sym", "Use one zero point, the middle (default)");
  CLI::Option* asymmetric = add_flag("--asym", "Use a zero point for each group");
  options_.push_back(symmetric->excludes(asymmetric));
  options_.push_back(asymmetric);
  options_.push_back(add_flag("--act-order", "Round the most active channels first"));
  options_.push_back(add_flag("--static-groups", "Fix all scales before the first channel"));
}

std::optional<std::string> CalibratedArguments::Targets(const std::string& to) const {
  const auto targets = make::CalibratedTargets(to, bits_);
  if (!targets.ok()) throw CLI::ValidationError("--to", targets.status().message());
  return *targets;
}

const CLI::Option* CalibratedArguments::given() const {
  if (bits_option_->count() > 0) return bits_option_;
  for (const CLI::Option* option : options_) {
    if (option->count() > 0) return option;
  }
  return nullptr;
}

int CalibratedArguments::Run(const std::string& source, const std::string& output,
                             const std::string& targets,
                             const std::vector<std::string>& shared) const {
  std::vector<std::string> words = {"--to=" + targets, "--output=" + output};
  for (const CLI::Option* option : options_) {
    if (option->count() == 0) continue;
    const bool is_flag = option->get_items_expected_max() == 0;
    words.push_back(option->get_name() + (is_flag ? "" : "=" + option->results().back()));
  }
  words.insert(words.end(), shared.begin(), shared.end());
  words.insert(words.end(), {"--", source});
  return RunProgram(make::kCalibratedProgram, std::move(words), kInstall);
}

}  // namespace qstore::cli
