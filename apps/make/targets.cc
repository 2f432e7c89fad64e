// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/targets.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "base/status_macros.h"

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

std::vector<std::string_view> SplitAtCommas(std::string_view text) {
  std::vector<std::string_view> items;
  for (size_t comma; (comma = text.find(',')) != std::string_view::npos;) {
    items.push_back(text.substr(0, comma));
    text.remove_prefix(comma + 1);
  }
  items.push_back(text);
  return items;
}

/// "4" of "gptq-4bit".
Result<std::string_view> BitsOf(std::string_view target) {
  if (target.size() < kPrefix.size() + kSuffix.size() || !target.starts_with(kPrefix) ||
      !target.ends_with(kSuffix)) {
    return InvalidArgument("'" + std::string(target) + "' is not gptq-Nbit; only GPTQ makes lists");
  }
  return target.substr(kPrefix.size(), target.size() - kPrefix.size() - kSuffix.size());
}

Result<std::string> TargetsOf(const std::vector<std::string_view>& list) {
  std::string targets;
  for (const std::string_view bits : list) {
    if (std::find(std::begin(kBits), std::end(kBits), bits) == std::end(kBits)) {
      return InvalidArgument("GPTQ has 2, 3, 4 or 8 bits, not '" + std::string(bits) + "'");
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
  return std::nullopt;
}

Result<std::optional<std::string>> CalibratedTargets(std::string_view to, std::string_view bits) {
  const bool takes_bits = to == kCalibrated;
  if (!to.starts_with(kCalibrated) && to.find(',') == std::string_view::npos) {
    return std::optional<std::string>();
  }
  if (takes_bits == bits.empty()) {
    return InvalidArgument(takes_bits ? "gptq needs --bits" : "--bits belongs to gptq alone");
  }
  std::vector<std::string_view> list = SplitAtCommas(takes_bits ? bits : to);
  if (!takes_bits) {
    for (std::string_view& item : list) {
      QSTORE_ASSIGN(item, BitsOf(item));
    }
  }
  QSTORE_ASSIGN(std::string targets, TargetsOf(list));
  return std::optional<std::string>(std::move(targets));
}

std::string TargetNames() {
  std::string names;
  for (const NamedTarget& known : kTargets) names.append(known.name).append(", ");
  for (const std::string_view bits : kBits) names.append(CalibratedName(bits)).append(", ");
  names.resize(names.size() - 2);
  return names;
}

}  // namespace qstore::make
