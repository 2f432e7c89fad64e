// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "qstore/status.h"

namespace qstore::store {

/// An object's whole content, kept alive by `held`.
struct WholeContent {
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> held;
};

/// Where chunks get what they need whole. Thread-safe.
class WholeSource {
 public:
  virtual ~WholeSource() = default;
  virtual Result<WholeContent> Get(uint32_t object) = 0;
};

}  // namespace qstore::store
