// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/hash.h"

namespace qstore::base {

/// Finds rows of a table by their names, which the table alone has: a node with a name for each of
/// a million rows would take more memory than the table.
class NameSlots {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;

  /// Forgets all rows and makes room for `count` of them.
  void Reset(size_t count) { slots_.assign(std::bit_ceil(count + count / 2 + 1), kNone); }

  /// The row of that name, or kNone. `name_of(row)` is the name of a row.
  template <class NameOf>
  uint32_t Find(std::string_view name, const NameOf& name_of) const {
    return slots_.empty() ? kNone : slots_[At(name, name_of)];
  }

  /// Where the row of that name stands, or is to stand: kNone until it is set. REQUIRES: room.
  template <class NameOf>
  uint32_t& Slot(std::string_view name, const NameOf& name_of) {
    return slots_[At(name, name_of)];
  }

 private:
  template <class NameOf>
  size_t At(std::string_view name, const NameOf& name_of) const {
    const size_t mask = slots_.size() - 1;
    size_t at = static_cast<size_t>(Hash64(std::as_bytes(std::span(name)))) & mask;
    while (slots_[at] != kNone && name_of(slots_[at]) != name) at = (at + 1) & mask;
    return at;
  }

  std::vector<uint32_t> slots_;  // A power of two, a third of them free.
};

}  // namespace qstore::base
