// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <typeinfo>
#include <utility>
#include <vector>

#include "codec/blocks/blocks.h"
#include "codec/floating.h"
#include "codec/general.h"
#include "codec/rows.h"
#include "scheme/repeats.h"

namespace qstore::scheme {

/// What one thread needs to encode and decode chunks: grown as needed, kept from chunk to chunk.
class Scratch {
 public:
  codec::PlaneScratch planes;
  codec::BlockScratch blocks;
  RepeatScratch repeats;
  codec::Zstd zstd;
  codec::RowScratch rows;
  std::vector<std::byte> candidate;
  std::vector<std::byte> other;

  /// Memory of a type that a scheme keeps for itself, made when it is first asked for.
  template <class T>
  T* Of() {
    for (const auto& [type, memory] : own_) {
      if (*type == typeid(T)) return static_cast<T*>(memory.get());
    }
    own_.emplace_back(&typeid(T), std::make_shared<T>());
    return static_cast<T*>(own_.back().second.get());
  }

 private:
  std::vector<std::pair<const std::type_info*, std::shared_ptr<void>>> own_;
};

}  // namespace qstore::scheme
