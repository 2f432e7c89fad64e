// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "scheme/tensor_table.h"

namespace qstore::store {

/// "a.b" of "a.b.weight", "a.b.weight.absmax" and "a.b.weight_packed"; of other names all before
/// the last dot. Empty where there is no dot.
std::string_view ModuleOfTensor(std::string_view name);

/// Modules that have other names in another variant.
class ModuleNames {
 public:
  void Add(std::string_view own, std::string_view other) { other_of_.emplace(own, other); }
  bool Has(std::string_view own) const { return other_of_.contains(own); }
  /// The other name of that module.
  std::optional<std::string> Find(std::string_view own) const {
    const auto found = other_of_.find(own);
    return found == other_of_.end() ? std::nullopt : std::optional(found->second);
  }
  bool empty() const { return other_of_.empty(); }
  /// The name with that of the innermost module known exchanged; nothing where none is known.
  std::optional<std::string> Translate(std::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> other_of_;
};

/// A table under the names that another variant gives to its modules.
class RenamedTable final : public scheme::TensorTable {
 public:
  RenamedTable(const scheme::TensorTable* table, const ModuleNames* names)
      : table_(*table), names_(*names) {}

  size_t size() const override { return table_.size(); }
  /// With the name that it has in its own variant.
  scheme::TensorDesc tensor(size_t index) const override { return table_.tensor(index); }
  std::optional<size_t> Find(std::string_view name) const override {
    const auto translated = names_.Translate(name);
    return table_.Find(translated ? *translated : name);
  }

 private:
  const scheme::TensorTable& table_;
  const ModuleNames& names_;
};

}  // namespace qstore::store
