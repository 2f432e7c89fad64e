// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "codec/runs.h"

// Which runs have which class. The mean symbol of a run of floats tells the spread of its weights,
// as symbols go by the logarithm of their size. Runs are put into buckets by their means, and
// neighbouring buckets are joined for as long as that takes fewer bytes.

namespace qstore::codec {
namespace {

constexpr size_t kBuckets = 16;
constexpr double kPerSymbol = 1;  // Buckets for each step of the mean.
// Fewer symbols have one class: tables take as much as classes save.
constexpr size_t kMinSymbols = size_t{1} << 15;
constexpr std::array<unsigned, 2> kRunBits = {8, 11};
// Lengths of runs are compared on one in so many stretches.
constexpr size_t kStretch = size_t{1} << 13;
constexpr size_t kSampled = 8;
constexpr double kWorthwhile = 0.999;

struct Bucket {
  Histogram counts{};
  size_t runs = 0;
  double bits = 0;
};

// x log2 x of small numbers, which are most.
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

// Bits of the symbols, and of their frequencies.
double BitsOf(const Histogram& counts, unsigned first, unsigned last) {
  uint32_t sum = 0;
  uint32_t used = 0;
  double bits = 0;
  for (unsigned s = first; s <= last; ++s) {
    if (counts[s] == 0) continue;
    sum += counts[s];
    ++used;
    bits -= XLog2X(counts[s]);
  }
  constexpr double kBitsPerFrequency = 11;
  return bits + XLog2X(sum) + kBitsPerFrequency * used + 16;
}

class Classifier {
 public:
  Classifier(std::span<const uint8_t> symbols, const Histogram& counts) : symbols_(symbols) {
    first_ = 0;
    while (counts[first_] == 0) ++first_;
    last_ = 255;
    while (counts[last_] == 0) --last_;
    double sum = 0;
    for (unsigned s = first_; s <= last_; ++s) sum += double{1} * counts[s] * s;
    mean_ = sum / static_cast<double>(symbols.size());
  }

  // Bits of one in `step` stretches, with runs of that length. Fills buckets_.
  double Classify(unsigned run_bits, size_t step) {
    buckets_.assign(kBuckets, {});
    places_.clear();
    const size_t run = size_t{1} << run_bits;
    for (size_t begin = 0; begin < symbols_.size(); begin += step * kStretch) {
      const size_t end = step == 1 ? symbols_.size() : std::min(begin + kStretch, symbols_.size());
      for (size_t at = begin; at < end; at += run) {
        PutRun(symbols_.subspan(at, std::min(run, end - at)));
      }
      if (step == 1) break;
    }
    return Join();
  }

  /// Of what Classify did last: what it would take with one class.
  double one_bits() const { return one_bits_; }

  RunClasses Result(unsigned run_bits, double bits) const {
    RunClasses classes;
    classes.run_bits = run_bits;
    classes.bytes = bits / 8;
    std::array<uint8_t, kBuckets> class_of{};
    for (size_t c = 0; c < best_.size(); ++c) {
      for (size_t b = c == 0 ? 0 : best_[c - 1]; b < best_[c]; ++b) {
        class_of[b] = static_cast<uint8_t>(c);
      }
      classes.counts.push_back({});
    }
    for (size_t b = 0; b < kBuckets; ++b) {
      Histogram& counts = classes.counts[class_of[b]];
      for (unsigned s = first_; s <= last_; ++s) counts[s] += buckets_[b].counts[s];
    }
    for (const uint8_t place : places_) classes.class_of.push_back(class_of[place]);
    return classes;
  }

 private:
  void PutRun(std::span<const uint8_t> run) {
    const uint32_t sum = std::accumulate(run.begin(), run.end(), uint32_t{0});
    const double mean = double{1} * sum / static_cast<double>(run.size());
    const double place = (mean - mean_) * kPerSymbol + double{kBuckets} / 2;
    const auto b = static_cast<size_t>(std::clamp(place, 0.0, double{kBuckets} - 1));
    Bucket& bucket = buckets_[b];
    ++bucket.runs;
    for (const uint8_t s : run) ++bucket.counts[s];
    places_.push_back(static_cast<uint8_t>(b));
  }

  // Joins neighbours, those first whose joint takes least; keeps the best cut on the way. The cut
  // is where each class ends, in buckets.
  double Join() {
    std::vector<Bucket> classes = buckets_;
    std::vector<size_t> ends(kBuckets);
    for (size_t b = 0; b < kBuckets; ++b) {
      ends[b] = b + 1;
      classes[b].bits = BitsOf(classes[b].counts, first_, last_);
    }
    std::vector<double> joint(kBuckets);
    for (size_t b = 0; b + 1 < kBuckets; ++b) joint[b] = JointBits(classes[b], classes[b + 1]);
    double best_bits = 0;
    best_.clear();
    while (true) {
      if (ends.size() <= kMaxRunClasses) {
        const double bits = TotalBits(classes);
        if (best_.empty() || bits < best_bits) {
          best_bits = bits;
          best_ = ends;
        }
      }
      if (ends.size() == 1) {
        one_bits_ = TotalBits(classes);
        return best_bits;
      }
      size_t at = 0;
      double least = 0;
      for (size_t c = 0; c + 1 < ends.size(); ++c) {
        const double more = joint[c] - classes[c].bits - classes[c + 1].bits;
        if (c == 0 || more < least) {
          least = more;
          at = c;
        }
      }
      JoinAt(at, joint[at], &classes, &ends, &joint);
    }
  }

  void JoinAt(size_t at, double bits, std::vector<Bucket>* classes, std::vector<size_t>* ends,
              std::vector<double>* joint) const {
    Bucket& into = (*classes)[at];
    const Bucket& next = (*classes)[at + 1];
    for (unsigned s = first_; s <= last_; ++s) into.counts[s] += next.counts[s];
    into.runs += next.runs;
    into.bits = bits;
    const auto place = static_cast<ptrdiff_t>(at);
    classes->erase(classes->begin() + place + 1);
    ends->erase(ends->begin() + place);
    joint->erase(joint->begin() + place);
    if (at + 1 < classes->size()) (*joint)[at] = JointBits((*classes)[at], (*classes)[at + 1]);
    if (at > 0) (*joint)[at - 1] = JointBits((*classes)[at - 1], (*classes)[at]);
  }

  double JointBits(const Bucket& a, const Bucket& b) const {
    if (a.runs == 0) return b.bits;
    if (b.runs == 0) return a.bits;
    Histogram counts;
    for (unsigned s = first_; s <= last_; ++s) counts[s] = a.counts[s] + b.counts[s];
    return BitsOf(counts, first_, last_);
  }

  double TotalBits(const std::vector<Bucket>& classes) const {
    double bits = XLog2X(static_cast<uint32_t>(places_.size()));
    for (const Bucket& each : classes) {
      bits += each.bits - XLog2X(static_cast<uint32_t>(each.runs));
    }
    return bits;
  }

  std::span<const uint8_t> symbols_;
  unsigned first_ = 0;
  unsigned last_ = 0;
  double mean_ = 0;
  std::vector<Bucket> buckets_;
  std::vector<uint8_t> places_;  // The bucket of each run.
  std::vector<size_t> best_;
  double one_bits_ = 0;
};

}  // namespace

RunClasses ClassifyRuns(std::span<const uint8_t> symbols, const Histogram& counts) {
  RunClasses one;
  one.class_of.assign((symbols.size() >> kMaxRunBits) + 1, 0);
  one.counts = {counts};
  one.bytes = ContextRansCost(counts);
  if (symbols.size() < kMinSymbols) return one;
  Classifier classifier(symbols, counts);
  const size_t step = symbols.size() < kSampled * kStretch ? 1 : kSampled;
  unsigned best = kRunBits[0];
  double least = 0;
  bool gains = false;
  for (const unsigned bits : kRunBits) {
    const double cost = classifier.Classify(bits, step);
    gains = gains || cost < kWorthwhile * classifier.one_bits();
    if (bits == kRunBits[0] || cost < least) {
      least = cost;
      best = bits;
    }
  }
  if (!gains) return one;
  // What was classified last and whole need not be so again.
  if (step > 1 || best != kRunBits.back()) least = classifier.Classify(best, 1);
  RunClasses classes = classifier.Result(best, least);
  return classes.counts.size() > 1 && classes.bytes < one.bytes ? classes : one;
}

}  // namespace qstore::codec
