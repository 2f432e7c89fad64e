// SPDX-License-Identifier: Apache-2.0
#include "analyze/conditional.h"

#include <algorithm>
#include <array>
#include <vector>

#include "analyze/huffman_cost.h"
#include "analyze/weights.h"
#include "base/status_macros.h"

namespace qstore::analyze {
namespace {

// A weight is one number: the integer it is quantized to above its own symbol.
using Key = uint32_t;

constexpr size_t kFewKeys = 512;  // Sorted faster by comparison.

// Sorts by the low `bits` bits; `spare` is scratch.
void SortKeys(std::span<Key> keys, unsigned bits, std::vector<Key>* spare) {
  if (keys.size() < kFewKeys) {
    std::sort(keys.begin(), keys.end());
    return;
  }
  spare->resize(std::max(spare->size(), keys.size()));
  Key* from = keys.data();
  Key* to = spare->data();
  for (unsigned shift = 0; shift < bits; shift += 8) {
    std::array<size_t, 256> next{};
    for (size_t i = 0; i < keys.size(); ++i) ++next[(from[i] >> shift) & 0xff];
    size_t begin = 0;
    for (size_t& place : next) {
      const size_t count = place;
      place = begin;
      begin += count;
    }
    for (size_t i = 0; i < keys.size(); ++i) to[next[(from[i] >> shift) & 0xff]++] = from[i];
    std::swap(from, to);
  }
  if (from != keys.data()) std::copy_n(from, keys.size(), keys.data());
}

// Scales [begin, end), whose weights are looked at together.
struct Batch {
  size_t begin = 0;
  size_t end = 0;
  bool Has(uint32_t scale) const { return scale - begin < end - begin; }
};

class Grouping {
 public:
  Grouping(const LayerVariant& target, const LayerVariant& given, uint64_t memory,
           const std::function<Status()>& check)
      : check_(check),
        target_(target),
        given_(given),
        symbol_bits_(target.matrix.bits),
        // Keys, and for the largest scale once more when it is sorted: a quarter at most.
        limit_(std::max<uint64_t>(memory / 5, uint64_t{1} << 16)) {}

  Result<ConditionalCost> Run() {
    QSTORE_ASSIGN(scales_, ScaleTable::Read(given_));
    cost_.scales = scales_.count();
    Batch batch;
    while (batch.end < scales_.count()) {
      batch.begin = batch.end;
      uint64_t weights = scales_.weights(batch.end++);
      if (weights > limit_ / 4) {
        QSTORE_TRY(CountOneScale(batch));
        continue;
      }
      while (batch.end < scales_.count() && scales_.weights(batch.end) <= limit_ / 4 &&
             weights + scales_.weights(batch.end) <= limit_) {
        weights += scales_.weights(batch.end++);
      }
      QSTORE_TRY(CollectAndSort(batch, weights));
    }
    return cost_;
  }

 private:
  // Calls take(scale, key) for every weight of the batch.
  template <class Take>
  Status ForEachWeight(const Batch& batch, const Take& take) {
    const uint64_t step = BandRows(target_);
    for (uint64_t row = 0; row < target_.matrix.rows; row += step) {
      const uint64_t rows = std::min(step, target_.matrix.rows - row);
      if (!AnyOf(batch, row, rows)) continue;
      QSTORE_TRY(check_());
      QSTORE_TRY(ReadSymbols(target_, row, rows, &symbols_));
      QSTORE_TRY(ReadSymbols(given_, row, rows, &integers_));
      for (uint64_t r = 0; r < rows; ++r) TakeRow(batch, row + r, r * target_.matrix.columns, take);
    }
    return {};
  }

  bool AnyOf(const Batch& batch, uint64_t row, uint64_t rows) const {
    if (batch.begin == 0 && batch.end == scales_.count()) return true;
    for (uint64_t group = 0; group < scales_.groups(); ++group) {
      for (uint64_t r = row; r < row + rows; ++r) {
        if (batch.Has(scales_.scale(r, group))) return true;
      }
    }
    return false;
  }

  template <class Take>
  void TakeRow(const Batch& batch, uint64_t row, uint64_t at, const Take& take) {
    const uint16_t* symbol = symbols_.data() + at;
    const uint16_t* integer = integers_.data() + at;
    row_scales_.resize(scales_.groups());
    for (uint64_t group = 0; group < scales_.groups(); ++group) {
      row_scales_[group] = scales_.scale(row, group);
    }
    const uint32_t* group_of = scales_.group_of().empty() ? nullptr : scales_.group_of().data();
    for (uint64_t i = 0; i < target_.matrix.columns; ++i) {
      const uint32_t scale = row_scales_[group_of == nullptr ? 0 : group_of[i]];
      if (batch.Has(scale)) take(scale, static_cast<Key>(integer[i]) << symbol_bits_ | symbol[i]);
    }
  }

  Status CollectAndSort(const Batch& batch, uint64_t weights) {
    keys_.resize(std::max<size_t>(keys_.size(), weights));
    next_.assign(batch.end - batch.begin, 0);
    size_t begin = 0;
    for (size_t scale = batch.begin; scale < batch.end; ++scale) {
      next_[scale - batch.begin] = begin;
      begin += scales_.weights(scale);
    }
    QSTORE_TRY(ForEachWeight(
        batch, [&](uint32_t scale, Key key) { keys_[next_[scale - batch.begin]++] = key; }));
    begin = 0;
    for (size_t scale = batch.begin; scale < batch.end; ++scale) {
      const auto keys = std::span(keys_).subspan(begin, scales_.weights(scale));
      begin += keys.size();
      SortKeys(keys, symbol_bits_ + given_.matrix.bits, &spare_);
      AddSorted(keys);
    }
    return {};
  }

  void AddSorted(std::span<const Key> keys) {
    counts_.clear();
    for (size_t i = 0; i < keys.size(); ++i) {
      const bool new_group = i > 0 && keys[i] >> symbol_bits_ != keys[i - 1] >> symbol_bits_;
      if (new_group) AddGroup();
      if (!counts_.empty() && keys[i] == keys[i - 1]) {
        ++counts_.back();
      } else {
        counts_.push_back(1);
      }
    }
    AddGroup();
  }

  // One scale with more weights than can be collected: a table of all keys there may be.
  Status CountOneScale(const Batch& batch) {
    std::vector<uint64_t> table(size_t{1} << (symbol_bits_ + given_.matrix.bits), 0);
    QSTORE_TRY(ForEachWeight(batch, [&](uint32_t, Key key) { ++table[key]; }));
    for (size_t key = 0; key < table.size(); ++key) {
      if ((key & ((size_t{1} << symbol_bits_) - 1)) == 0) AddGroup();
      if (table[key] != 0) counts_.push_back(table[key]);
    }
    AddGroup();
    return {};
  }

  // Adds the group whose symbols have `counts_`, which it clears.
  void AddGroup() {
    if (counts_.empty()) return;
    ++cost_.groups;
    if (counts_.size() == 1 && counts_[0] == 1) {
      cost_.code_bits += symbol_bits_;
      cost_.table_bits += kTableCountBits;
    } else {
      const CodeCost cost = huffman_.Of(counts_, symbol_bits_);
      cost_.code_bits += cost.code_bits;
      cost_.table_bits += cost.table_bits;
      cost_.entropy_bits += cost.entropy_bits;
    }
    counts_.clear();
  }

  const std::function<Status()>& check_;
  const LayerVariant& target_;
  const LayerVariant& given_;
  const unsigned symbol_bits_;
  const uint64_t limit_;
  ScaleTable scales_;
  ConditionalCost cost_;
  HuffmanCost huffman_;
  std::vector<uint16_t> symbols_;
  std::vector<uint16_t> integers_;
  std::vector<uint32_t> row_scales_;
  std::vector<Key> keys_;
  std::vector<Key> spare_;
  std::vector<size_t> next_;
  std::vector<uint64_t> counts_;
};

}  // namespace

Result<ConditionalCost> CostGiven(const LayerVariant& target, const LayerVariant& given,
                                  uint64_t memory, const std::function<Status()>& check) {
  return Grouping(target, given, memory, check).Run();
}

}  // namespace qstore::analyze
