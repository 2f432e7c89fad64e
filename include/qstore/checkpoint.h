// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// A file that holds tensors.
struct CheckpointFile {
  std::filesystem::path path;
  std::shared_ptr<const ByteSource> content;
};

/// A tensor, and the bytes of a file that it is.
struct CheckpointTensor {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;
  size_t file = 0;
  uint64_t begin = 0;  ///< Of its content, in the file.
  uint64_t byte_size = 0;
};

inline constexpr uint64_t kWeightRows = 32;

/// A tensor's part in a matrix of weights.
struct WeightPart {
  size_t tensor = 0;
  /// The dimension of the tensor that lies along the rows of the matrix. Each row has an equal
  /// share of it, which may be less than an element; runs of rows that begin at multiples of
  /// kWeightRows have elements of their own. None: all rows share the tensor.
  std::optional<size_t> row_dimension;
};

/// The matrix of weights of one module, such as a linear layer, and the tensors that hold it. A
/// weight is known by its code, a number of `bits` bits: the pattern of a float, or the integer
/// that it was quantized to.
struct WeightMatrix {
  std::string_view module;  ///< "P" where the floats would be "P.weight".
  std::string_view scheme;  ///< What it is quantized by, as TensorCoding::scheme; empty for floats.
  Status problem;           ///< Why it cannot be read. Then what follows is without meaning.
  unsigned bits = 0;        ///< Of a code, at most 16.
  uint64_t rows = 0;        ///< Outputs of the layer.
  uint64_t columns = 0;     ///< Inputs.
  uint64_t groups = 1;      ///< Scales that a row has.
  std::span<const WeightPart> parts;  ///< The codes first.
};

/// The scales of a quantized matrix.
struct WeightScales {
  std::vector<uint32_t> patterns;  ///< [groups][rows], the bits of floats of whatever type.
  std::vector<uint32_t> group_of;  ///< The group of each column; empty when there is one.
};

/// A model on disk that need not be packed: its tensors, and the matrices of weights that this
/// library's containers and schemes see in them.
/// Thread-safety: all member functions may be called from many threads at once.
class QSTORE_EXPORT Checkpoint {
 public:
  /// Lists a model directory or one file, and reads the heads of files that hold tensors.
  /// Errors: kNotFound, kInvalidArgument (nothing there, a pipe, socket or device), kCorrupt and
  /// kLimit (a file that holds tensors by its name cannot be read as such), kIo, kSourceChanged.
  static Result<Checkpoint> Open(const std::filesystem::path& path);
  ~Checkpoint();
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;

  size_t file_count() const;
  const CheckpointFile& file(size_t index) const;

  /// File by file, in the order of their bytes. Names and shapes live as long as the Checkpoint.
  size_t tensor_count() const;
  CheckpointTensor tensor(size_t index) const;

  /// By module. Of several tensors of one name the first counts.
  size_t matrix_count() const;
  WeightMatrix matrix(size_t index) const;
  /// The matrix of that module, or nothing.
  std::optional<size_t> FindMatrix(std::string_view module) const;

  /// The codes of rows [row, row + rows), one row after the other, as many as `codes` has room for.
  /// Errors: kInvalidArgument (no such matrix or rows, another size, the problem of the matrix),
  /// those of reading.
  Status ReadCodes(size_t matrix, uint64_t row, uint64_t rows, std::span<uint16_t> codes) const;
  /// Errors: kInvalidArgument (no such matrix, one of floats, the problem of the matrix, a column
  /// whose group does not exist), those of reading.
  Result<WeightScales> ReadScales(size_t matrix) const;

 private:
  struct Model;
  explicit Checkpoint(std::unique_ptr<const Model> model);
  std::unique_ptr<const Model> model_;
};

}  // namespace qstore
