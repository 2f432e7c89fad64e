// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "qstore/dtype.h"

namespace qstore::scheme {

/// A tensor as a variant's files list it.
struct TensorDesc {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;
};

/// The tensors of one variant, by name.
class TensorTable {
 public:
  virtual ~TensorTable() = default;
  virtual size_t size() const = 0;
  virtual TensorDesc tensor(size_t index) const = 0;
  virtual std::optional<size_t> Find(std::string_view name) const = 0;
  /// A number that the metadata of the files has under a key with this end, if they agree on it.
  virtual std::optional<uint64_t> Number(std::string_view key_end) const {
    (void)key_end;
    return std::nullopt;
  }
};

inline uint64_t ElementCount(std::span<const uint64_t> shape) {
  return std::accumulate(shape.begin(), shape.end(), uint64_t{1}, std::multiplies<>());
}

inline uint64_t ByteCount(const TensorDesc& tensor) {
  return ElementCount(tensor.shape) / DTypeBlock(tensor.dtype) * DTypeBits(tensor.dtype) / 8;
}

inline bool SameShape(const TensorDesc& a, const TensorDesc& b) {
  return std::equal(a.shape.begin(), a.shape.end(), b.shape.begin(), b.shape.end());
}

/// "a.b." of "a.b.weight", for the tensor "weight"; nothing for other names.
inline std::optional<std::string_view> ModuleOf(std::string_view name, std::string_view tensor) {
  if (!name.ends_with(tensor)) return std::nullopt;
  const std::string_view module = name.substr(0, name.size() - tensor.size());
  if (!module.empty() && module.back() != '.') return std::nullopt;
  return module;
}

inline std::optional<size_t> FindIn(const TensorTable& table, std::string_view module,
                                    std::string_view tensor) {
  std::string name(module);
  return table.Find(name += tensor);
}

}  // namespace qstore::scheme
