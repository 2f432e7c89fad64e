// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "qstore/export.h"

namespace qstore {

struct ReadRequest;

/// Tensors in memory of their own, which lives as long as this object and stays where it is when
/// that is moved; see Archive::Load. Thread-safety: that of standard containers.
class QSTORE_EXPORT LoadedTensors {
 public:
  LoadedTensors();
  LoadedTensors(LoadedTensors&&) noexcept;
  LoadedTensors& operator=(LoadedTensors&&) noexcept;
  ~LoadedTensors();

  /// How many tensors there are: of the first variant asked for, then of the next.
  size_t size() const;
  /// The number of the i-th as Archive::tensor knows it.
  size_t tensor(size_t i) const;
  /// The bytes of the i-th, aligned to 64.
  std::span<std::byte> content(size_t i) const;
  /// What Archive::Read, of the same archive, fills this memory by (<qstore/archive.h>).
  std::span<const ReadRequest> requests() const;

 private:
  friend class Archive;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qstore
