// SPDX-License-Identifier: Apache-2.0
#include "store/module_names.h"

namespace qstore::store {

std::string_view ModuleOfTensor(std::string_view name) {
  constexpr std::string_view kWeight = ".weight";
  const size_t weight = name.rfind(kWeight);
  if (weight != std::string_view::npos) {
    const std::string_view behind = name.substr(weight + kWeight.size());
    if (behind.empty() || behind.front() == '.' || behind.front() == '_') {
      return name.substr(0, weight);
    }
  }
  const size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
}

std::optional<std::string> ModuleNames::Translate(std::string_view name) const {
  for (size_t end = name.rfind('.'); end != std::string_view::npos && end > 0;
       end = name.rfind('.', end - 1)) {
    const auto found = other_of_.find(name.substr(0, end));
    if (found != other_of_.end()) return found->second + std::string(name.substr(end));
  }
  return std::nullopt;
}

}  // namespace qstore::store
