// SPDX-License-Identifier: Apache-2.0
#include "scheme/delta/delta_classes.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

namespace qstore::scheme {
namespace {

// Runs are put into buckets by how far they moved, those that did not into one of their own, and
// neighbouring buckets are joined for as long as that takes fewer bytes. So are neighbouring
// exponents of a bucket.
constexpr size_t kSymbols = 128;
using Counts = std::array<uint32_t, kSymbols>;

// What a context takes beside its symbols: its table in the payload, and a little for the time that
// a decoder spends on it.
constexpr double kBitsPerContext = 24 * 8;
constexpr double kBitsPerFrequency = 9;

double XLog2X(uint32_t x) {
  static const auto kSmall = [] {
    std::array<float, 4096> table{};
    for (size_t i = 1; i < table.size(); ++i) {
      table[i] = static_cast<float>(static_cast<double>(i) * std::log2(static_cast<double>(i)));
    }
    return table;
  }();
  return x < kSmall.size() ? double{kSmall[x]} : x * std::log2(double{1} * x);
}

double BitsOf(const Counts& counts) {
  uint32_t sum = 0;
  size_t first = kSymbols;
  size_t last = 0;
  double bits = 0;
  for (size_t s = 0; s < kSymbols; ++s) {
    if (counts[s] == 0) continue;
    sum += counts[s];
    bits -= XLog2X(counts[s]);
    first = std::min(first, s);
    last = s;
  }
  if (sum == 0) return 0;
  const double frequencies = first == last ? 0 : static_cast<double>(last - first + 1);
  return bits + XLog2X(sum) + kBitsPerContext + kBitsPerFrequency * frequencies;
}

void AddTo(const Counts& more, Counts* counts) {
  for (size_t s = 0; s < kSymbols; ++s) (*counts)[s] += more[s];
}

struct Bucket {
  std::array<Counts, kDeltaExponents> counts{};  // By exponent.
  size_t runs = 0;

  void Add(const Bucket& other) {
    for (size_t e = 0; e < kDeltaExponents; ++e) AddTo(other.counts[e], &counts[e]);
    runs += other.runs;
  }
};

// Exponents that have one context each, by rising distance from the top.
struct Grouping {
  double bits = 0;
  size_t contexts = 0;
  std::array<uint8_t, kDeltaExponents> map{};
};

Grouping Group(const Bucket& bucket) {
  struct Part {
    Counts counts;
    double bits;
    size_t end;  // Behind the last exponent.
  };
  std::vector<Part> parts;
  for (size_t e = 0; e < kDeltaExponents; ++e) {
    const bool is_there = std::any_of(bucket.counts[e].begin(), bucket.counts[e].end(),
                                      [](uint32_t count) { return count != 0; });
    if (!is_there && !parts.empty()) {
      parts.back().end = e + 1;
      continue;
    }
    parts.push_back({bucket.counts[e], BitsOf(bucket.counts[e]), e + 1});
  }
  const auto joint = [&](size_t p) {
    Counts counts = parts[p].counts;
    AddTo(parts[p + 1].counts, &counts);
    return BitsOf(counts);
  };
  std::vector<double> joints;
  for (size_t p = 0; p + 1 < parts.size(); ++p) joints.push_back(joint(p));
  while (parts.size() > 1) {
    size_t best = 0;
    double gain = -1;
    for (size_t p = 0; p + 1 < parts.size(); ++p) {
      const double gained = parts[p].bits + parts[p + 1].bits - joints[p];
      if (gained > gain) gain = gained, best = p;
    }
    if (gain < 0) break;
    AddTo(parts[best + 1].counts, &parts[best].counts);
    parts[best].bits = joints[best];
    parts[best].end = parts[best + 1].end;
    const auto place = static_cast<ptrdiff_t>(best);
    parts.erase(parts.begin() + place + 1);
    joints.erase(joints.begin() + place);
    if (best + 1 < parts.size()) joints[best] = joint(best);
    if (best > 0) joints[best - 1] = joint(best - 1);
  }
  Grouping grouping;
  grouping.contexts = parts.size();
  size_t e = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    grouping.bits += parts[p].bits;
    for (; e < parts[p].end; ++e) grouping.map[e] = static_cast<uint8_t>(p);
  }
  return grouping;
}

// The bucket of each run. Runs that moved are ranked, and ranks are cut evenly.
std::vector<uint8_t> BucketsOf(std::span<const uint64_t> moved) {
  std::vector<uint64_t> sorted;
  for (const uint64_t each : moved) {
    if (each != 0) sorted.push_back(each);
  }
  std::sort(sorted.begin(), sorted.end());
  std::array<uint64_t, kMaxDeltaClasses - 2> limits{};
  for (size_t l = 0; l < limits.size() && !sorted.empty(); ++l) {
    limits[l] = sorted[(l + 1) * sorted.size() / (limits.size() + 1)];
  }
  std::vector<uint8_t> buckets;
  buckets.reserve(moved.size());
  for (const uint64_t each : moved) {
    const auto above = std::upper_bound(limits.begin(), limits.end(), each) - limits.begin();
    buckets.push_back(static_cast<uint8_t>(each == 0 ? 0 : 1 + above));
  }
  return buckets;
}

class Joiner {
 public:
  explicit Joiner(std::vector<Bucket> buckets) : buckets_(std::move(buckets)) {
    class_of_.resize(buckets_.size());
    std::iota(class_of_.begin(), class_of_.end(), uint8_t{0});
    for (const Bucket& bucket : buckets_) groups_.push_back(Group(bucket));
    for (size_t b = 0; b + 1 < buckets_.size(); ++b) joints_.push_back(Joint(b));
  }

  void Run() {
    while (buckets_.size() > 1) {
      size_t best = 0;
      double gain = 0;
      for (size_t b = 0; b + 1 < buckets_.size(); ++b) {
        const double apart = groups_[b].bits + groups_[b + 1].bits;
        const double gained = apart + RunsSaved(b) - joints_[b].bits;
        if (b == 0 || gained > gain) gain = gained, best = b;
      }
      if (gain < 0 && Contexts() <= kMaxDeltaContexts) break;
      Join(best);
    }
  }

  DeltaClasses Result() const {
    DeltaClasses classes;
    classes.contexts = 0;
    for (const Grouping& group : groups_) {
      for (const uint8_t context : group.map) {
        classes.maps.push_back(static_cast<uint8_t>(classes.contexts + context));
      }
      classes.contexts += group.contexts;
    }
    return classes;
  }
  /// By bucket as they were.
  const std::vector<uint8_t>& class_of() const { return class_of_; }

 private:
  size_t Contexts() const {
    size_t contexts = 0;
    for (const Grouping& group : groups_) contexts += group.contexts;
    return contexts;
  }
  Grouping Joint(size_t b) const {
    auto both = std::make_unique<Bucket>(buckets_[b]);
    both->Add(buckets_[b + 1]);
    return Group(*both);
  }
  // Bits less that tell the classes of runs, once two are one.
  double RunsSaved(size_t b) const {
    const auto first = static_cast<uint32_t>(buckets_[b].runs);
    const auto second = static_cast<uint32_t>(buckets_[b + 1].runs);
    return XLog2X(first + second) - XLog2X(first) - XLog2X(second);
  }
  void Join(size_t b) {
    buckets_[b].Add(buckets_[b + 1]);
    groups_[b] = joints_[b];
    const auto place = static_cast<ptrdiff_t>(b);
    buckets_.erase(buckets_.begin() + place + 1);
    groups_.erase(groups_.begin() + place + 1);
    joints_.erase(joints_.begin() + place);
    if (b + 1 < buckets_.size()) joints_[b] = Joint(b);
    if (b > 0) joints_[b - 1] = Joint(b - 1);
    for (uint8_t& each : class_of_) {
      if (each > b) --each;
    }
  }

  std::vector<Bucket> buckets_;
  std::vector<Grouping> groups_;
  std::vector<Grouping> joints_;  // Of each bucket and the next.
  std::vector<uint8_t> class_of_;
};

}  // namespace

DeltaClasses ClassifyDelta(const DeltaRuns& runs, std::vector<uint8_t>* class_of) {
  *class_of = BucketsOf(runs.moved);
  std::vector<Bucket> all(kMaxDeltaClasses);
  const size_t run = size_t{1} << runs.run_bits;
  for (size_t r = 0; r < class_of->size(); ++r) {
    Bucket& bucket = all[(*class_of)[r]];
    ++bucket.runs;
    const size_t end = std::min(runs.symbols.size(), (r + 1) * run);
    for (size_t i = r * run; i < end; ++i) ++bucket.counts[runs.below[i]][runs.symbols[i]];
  }
  // Those that no run is in are nobody's neighbours.
  std::array<uint8_t, kMaxDeltaClasses> kept{};
  std::vector<Bucket> buckets;
  for (size_t b = 0; b < all.size(); ++b) {
    kept[b] = static_cast<uint8_t>(buckets.size());
    if (all[b].runs > 0) buckets.push_back(all[b]);
  }
  Joiner joiner(std::move(buckets));
  joiner.Run();
  for (uint8_t& each : *class_of) each = joiner.class_of()[kept[each]];
  return joiner.Result();
}

}  // namespace qstore::scheme
