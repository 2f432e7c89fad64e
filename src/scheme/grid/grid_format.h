// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheme/grid/grid_params.h"
#include "scheme/tensor_table.h"

// What a quantized format is: how the tensors of one matrix of weights are named and shaped, and
// which rules may have made them. A format is a folder of src/scheme and a row of
// grid_formats.cc; the schemes of grids do the rest.

namespace qstore::scheme {

enum class GridPart : uint8_t { kCodes, kScales, kZeros };

/// A tensor's part in a matrix of weights.
struct GridPartName {
  std::string_view module;  ///< With its last dot; "weight" behind it names the weights.
  GridPart part = GridPart::kCodes;
};

/// The tensors of a matrix of weights, as positions in their table.
struct GridTensors {
  std::vector<RoundingRule> rules;  ///< Any of which may have made them, likeliest first.
  CodeLayout layout = CodeLayout::kPlain;
  Groups groups;
  uint64_t elem_count = 0;  ///< Weights.
  size_t codes = 0;
  std::optional<size_t> scales;  ///< Such as the rules make; none where others are stored.
  std::optional<size_t> zeros;
  std::optional<size_t> global;
  std::optional<size_t> state;  ///< What a format keeps as a text.
  std::optional<size_t> order;  ///< The group of each column, where these are no runs.
};

/// A tensor that a format makes of a matrix of weights.
struct MadeTensor {
  enum class Content : uint8_t { kCodes, kScales, kGlobal, kGiven };
  Content content = Content::kCodes;
  std::string name;  ///< Behind the module.
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
  std::vector<std::byte> given;
};

/// How a format makes its tensors of a matrix of weights.
struct MadeMatrix {
  RoundingRule rule = RoundingRule::kE4m3;
  CodeLayout layout = CodeLayout::kPlain;
  Groups groups;
  bool has_one_scale = false;  ///< For all weights: the group is the matrix.
  /// The global scale, given the type of the weights and their largest magnitude.
  float (*global)(DType weights, float peak) = nullptr;
  std::vector<MadeTensor> tensors;  ///< The codes first.
};

class GridFormat {
 public:
  virtual ~GridFormat() = default;

  /// The names by which this format is asked for to make copies; none where it only reads.
  virtual std::span<const std::string_view> MadeNames() const { return {}; }
  /// What is made of weights of two dimensions that are not empty. The rule may not apply to their
  /// type. REQUIRES: one of MadeNames. Errors: kInvalidArgument, where the shape does not fit.
  virtual Result<MadeMatrix> Make(std::string_view made_name, const TensorDesc& weights) const;

  /// What a tensor of that name would be.
  virtual std::optional<GridPartName> PartOf(std::string_view name) const = 0;
  /// The tensors of the module in `table`, when they are of this format; several readings where
  /// shapes leave a choice.
  virtual std::vector<GridTensors> Find(std::string_view module,
                                        const TensorTable& table) const = 0;
};

/// Tensors, and a rule that may have made them.
struct GridReading {
  GridTensors tensors;
  RoundingRule rule = RoundingRule::kE4m3;
};

/// The readings that fit weights of that type and number.
std::vector<GridReading> ReadingsFor(const GridFormat& format, std::string_view module,
                                     const TensorTable& table, const TensorDesc& weights);

/// All formats.
std::span<const GridFormat* const> GridFormats();

}  // namespace qstore::scheme
