// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/targets.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/status_macros.h"
#include "qstore/round.h"

namespace qstore::make {
namespace {

struct NamedTarget {
  std::string_view name;
  QuantizeTarget target;
};
constexpr NamedTarget kTargets[] = {{"llm-int8", QuantizeTarget::kLlmInt8},
                                    {"bf16", QuantizeTarget::kBF16},
                                    {"fp16", QuantizeTarget::kF16}};

constexpr std::string_view kCalibrated = "gptq";
constexpr std::string_view kPrefix = "gptq-";
constexpr std::string_view kSuffix = "bit";
constexpr std::string_view kBits[] = {"2", "3", "4", "8"};

std::string CalibratedName(std::string_view bits) {
  return std::string(kPrefix).append(bits).append(kSuffix);
}

/// "4" of "gptq-4bit".
Result<std::string> BitsOf(std::string_view target) {
  if (target.size() < kPrefix.size() + kSuffix.size() || !target.starts_with(kPrefix) ||
      !target.ends_with(kSuffix)) {
    return InvalidArgument("'" + std::string(target) +
                           "' is not gptq-Nbit; a list with GPTQ has nothing else");
  }
  return std::string(
      target.substr(kPrefix.size(), target.size() - kPrefix.size() - kSuffix.size()));
}

Result<std::string> TargetsOf(const std::vector<std::string>& list) {
  std::string targets;
  for (const std::string& bits : list) {
    if (std::find(std::begin(kBits), std::end(kBits), bits) == std::end(kBits)) {
      return InvalidArgument("GPTQ has 2, 3, 4 or 8 bits, not '" + bits + "'");
    }
    targets += (targets.empty() ? "" : ",") + CalibratedName(bits);
  }
  return targets;
}

}  // namespace

std::optional<QuantizeTarget> QuantizeTargetOf(std::string_view name) {
  for (const NamedTarget& known : kTargets) {
    if (known.name == name) return known.target;
  }
  const auto formats = RoundFormats();
  const bool is_format = std::find(formats.begin(), formats.end(), name) != formats.end();
  return is_format ? std::optional(QuantizeTarget::kFormat) : std::nullopt;
}

std::vector<std::string_view> QuantizeTargetNames() {
  std::vector<std::string_view> names;
  for (const NamedTarget& known : kTargets) names.push_back(known.name);
  const auto formats = RoundFormats();
  names.insert(names.end(), formats.begin(), formats.end());
  return names;
}

std::vector<std::string> SplitAtCommas(std::string_view text) {
  std::vector<std::string> items;
  for (size_t comma; (comma = text.find(',')) != std::string_view::npos;) {
    items.emplace_back(text.substr(0, comma));
    text.remove_prefix(comma + 1);
  }
  items.emplace_back(text);
  return items;
}

Result<std::optional<std::string>> CalibratedTargets(std::string_view to, std::string_view bits) {
  const bool takes_bits = to == kCalibrated;
  std::vector<std::string> list = SplitAtCommas(to);
  const bool is_calibrated = std::any_of(list.begin(), list.end(), [](const std::string& item) {
    return item.starts_with(kCalibrated);
  });
  if (!is_calibrated) return std::optional<std::string>();
  if (takes_bits == bits.empty()) {
    return InvalidArgument(takes_bits ? "gptq needs --bits" : "--bits belongs to gptq alone");
  }
  if (takes_bits) list = SplitAtCommas(bits);
  if (!takes_bits) {
    for (std::string& item : list) {
      QSTORE_ASSIGN(item, BitsOf(item));
    }
  }
  QSTORE_ASSIGN(std::string targets, TargetsOf(list));
  return std::optional<std::string>(std::move(targets));
}

std::string TargetNames() {
  std::string names;
  for (const std::string_view name : QuantizeTargetNames()) names.append(name).append(", ");
  for (const std::string_view bits : kBits) names.append(CalibratedName(bits)).append(", ");
  names.resize(names.size() - 2);
  return names;
}

}  // namespace qstore::make
