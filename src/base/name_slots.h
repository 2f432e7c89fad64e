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
  void Reset(size_t count) { slots_.assign(std::bit_ceil(count + count / 2 + 1), Place()); }

  /// The row of that name, or kNone. `name_of(row)` is the name of a row.
  template <class NameOf>
  uint32_t Find(std::string_view name, const NameOf& name_of) const {
    if (slots_.empty()) return kNone;
    const uint64_t hash = HashOf(name);
    return slots_[At(hash, name, name_of)].row;
  }

  /// Where the row of that name stands, or is to stand: kNone, which the caller sets. REQUIRES:
  /// room.
  template <class NameOf>
  uint32_t& Slot(std::string_view name, const NameOf& name_of) {
    const uint64_t hash = HashOf(name);
    Place& place = slots_[At(hash, name, name_of)];
    place.tag = static_cast<uint32_t>(hash >> 32);
    return place.row;
  }

 private:
  // The upper half of the hash tells most other names apart without a look at the table.
  struct Place {
    uint32_t row = kNone;
    uint32_t tag = 0;
  };

  static uint64_t HashOf(std::string_view name) {
    return TableHash(std::as_bytes(std::span(name)));
  }

  template <class NameOf>
  size_t At(uint64_t hash, std::string_view name, const NameOf& name_of) const {
    const size_t mask = slots_.size() - 1;
    const auto tag = static_cast<uint32_t>(hash >> 32);
    size_t at = static_cast<size_t>(hash) & mask;
    while (slots_[at].row != kNone && (slots_[at].tag != tag || name_of(slots_[at].row) != name)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  std::vector<Place> slots_;  // A power of two, a third of them free.
};

}  // namespace qstore::base
