// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scheme/tensor_table.h"

namespace qstore::testing {

/// A tensor of a table.
struct Listed {
  std::string name;
  DType dtype = DType::kBF16;
  std::vector<uint64_t> shape;
};

/// Tensors as a variant lists them, and numbers of its metadata by the ends of their keys.
class Table final : public scheme::TensorTable {
 public:
  Table() = default;
  explicit Table(std::vector<Listed> tensors) : tensors_(std::move(tensors)) {}
  explicit Table(const std::vector<std::string>& names) {
    for (const std::string& name : names) Add(name, DType::kBF16, {64, 256});
  }
  void Add(std::string name, DType dtype, std::vector<uint64_t> shape) {
    tensors_.push_back({std::move(name), dtype, std::move(shape)});
  }
  std::map<std::string, uint64_t, std::less<>> numbers;

  size_t size() const override { return tensors_.size(); }
  scheme::TensorDesc tensor(size_t i) const override {
    return {tensors_[i].name, tensors_[i].dtype, tensors_[i].shape};
  }
  std::optional<size_t> Find(std::string_view name) const override {
    for (size_t i = 0; i < tensors_.size(); ++i) {
      if (tensors_[i].name == name) return i;
    }
    return std::nullopt;
  }
  std::optional<uint64_t> Number(std::string_view key_end) const override {
    const auto found = numbers.find(key_end);
    return found == numbers.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::vector<Listed> tensors_;
};

}  // namespace qstore::testing
