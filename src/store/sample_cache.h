// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "plan/measure.h"
#include "store/pack_plan.h"

namespace qstore::store {

/// Names what was coded, in whichever order the variants of a plan are: contents by their place in
/// the files, schemes by number and parameters.
class SampleKey {
 public:
  explicit SampleKey(const PackPlan* plan) : plan_(*plan) {}
  void AddNumber(uint64_t number);
  void AddObject(uint32_t object);
  void AddEdge(SchemeId scheme, std::span<const std::byte> params,
               std::span<const uint32_t> parents, uint64_t chunk_elems);
  const std::string& text() const { return text_; }

 private:
  const PackPlan& plan_;
  std::string text_;
};

/// Values by key. Thread-safe.
template <class Value>
class KnownValues {
 public:
  std::optional<Value> Find(const SampleKey& key) const {
    const std::lock_guard lock(mutex_);
    const auto found = values_.find(key.text());
    if (found == values_.end()) return std::nullopt;
    return found->second;
  }
  void Put(const SampleKey& key, Value value) {
    const std::lock_guard lock(mutex_);
    values_.insert_or_assign(key.text(), std::move(value));
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Value> values_;
};

/// What samples took, kept from one plan of the same files to the next.
class SampleCache {
 public:
  KnownValues<plan::Measured> edges;
  KnownValues<std::vector<plan::CodedSize>> chunks;
};

}  // namespace qstore::store
