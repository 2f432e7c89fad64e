// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "scheme/grid/grid_format.h"

namespace qstore::scheme {

/// The names of a matrix's tensors, behind the module; empty where a format has none.
struct GridNames {
  std::string_view codes;
  std::string_view scales;
  std::string_view zeros = {};
};

/// A format whose tensors are told by such names. Codes and scales must both be there.
class NamedFormat : public GridFormat {
 public:
  explicit NamedFormat(const GridNames& names) : names_(names) {}

  std::optional<GridPartName> PartOf(std::string_view name) const final;
  std::vector<GridTensors> Find(std::string_view module, const TensorTable& table) const final;

 protected:
  const GridNames& names() const { return names_; }

  /// The tensors as they were found: `tensors` has nothing but their positions.
  struct Found {
    std::string_view module;
    const TensorTable& table;
    TensorDesc codes;
    TensorDesc scales;
    GridTensors tensors;

    std::optional<size_t> Other(std::string_view name) const { return FindIn(table, module, name); }
  };
  /// The readings of these tensors.
  virtual std::vector<GridTensors> Read(const Found& found) const = 0;

  /// One reading.
  static std::vector<GridTensors> Only(GridTensors tensors);
  /// The reading with groups and the number of weights that the shapes tell, `per_elem` codes being
  /// in an element; none when they do not fit one another.
  static std::vector<GridTensors> ByShapes(const Found& found, GridTensors tensors,
                                           uint64_t per_elem);

 private:
  GridNames names_;
};

/// Codes of a byte each: the type of codes tells which rules may have made them, and the type of
/// scales which of these did. Codes that are I8 and have zero points of that type are of
/// `of_i8_with_zeros`, if there is such a rule.
class BytesFormat : public NamedFormat {
 public:
  BytesFormat(const GridNames& names, std::vector<RoundingRule> of_i8,
              std::vector<RoundingRule> of_f8_e4m3,
              std::optional<RoundingRule> of_i8_with_zeros = std::nullopt)
      : NamedFormat(names),
        of_i8_(std::move(of_i8)),
        of_f8_e4m3_(std::move(of_f8_e4m3)),
        of_i8_with_zeros_(of_i8_with_zeros) {}

 private:
  std::vector<GridTensors> Read(const Found& found) const final;

  std::vector<RoundingRule> of_i8_;
  std::vector<RoundingRule> of_f8_e4m3_;
  std::optional<RoundingRule> of_i8_with_zeros_;
};

}  // namespace qstore::scheme
