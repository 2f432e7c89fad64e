// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/factors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "base/status_macros.h"
#include "codec/plane.h"
#include "scheme/grid/rounding.h"

namespace qstore::scheme {
namespace {

// Rounds of least squares, each of inputs and outputs; errors of a round are those of the one
// before times a small number, since weights beside one another have little in common.
constexpr int kRounds = 4;

/// The number from `low` to `high` whose pattern ends with the most zeros. REQUIRES: 0 <= low <=
/// high, both finite.
float ShortestIn(float low, float high) {
  const auto least = std::bit_cast<uint32_t>(low);
  const auto most = std::bit_cast<uint32_t>(high);
  for (unsigned zeros = 23; zeros > 0; --zeros) {
    const uint32_t mask = (1u << zeros) - 1;
    const uint32_t pattern = (least + mask) & ~mask;
    if (pattern <= most) return std::bit_cast<float>(pattern);
  }
  return low;
}

/// A factor that is to be in as many intervals as possible.
class FactorFinder {
 public:
  // The interval in which `steps` times the factor rounds to the code.
  void Add(float steps, int code, int zero, int top) {
    if (steps == 0) return;
    const auto number = static_cast<float>(code - zero);
    float low = code == 0 ? -std::numeric_limits<float>::infinity() : number - 0.5f;
    float high = code == top ? std::numeric_limits<float>::infinity() : number + 0.5f;
    low /= steps;
    high /= steps;
    if (steps < 0) std::swap(low, high);
    if (!(high > 0) || !(low < high)) return;
    ends_.push_back({std::max(low, 0.0f), 1});
    ends_.push_back({high, -1});
  }

  // 1 where there are no intervals.
  float Find() {
    // In an order that does not depend on how equal ends came.
    std::sort(ends_.begin(), ends_.end(), [](const End& a, const End& b) {
      return a.at < b.at || (a.at == b.at && a.change > b.change);
    });
    int depth = 0;
    int deepest = 0;
    size_t best = 0;
    for (size_t i = 0; i < ends_.size(); ++i) {
      depth += ends_[i].change;
      if (depth <= deepest || ends_[i].change < 0) continue;
      deepest = depth;
      best = i;
    }
    float factor = 1;
    // Behind the deepest end some interval ends.
    if (deepest > 0 && std::isfinite(ends_[best + 1].at)) {
      factor = ShortestIn(ends_[best].at, ends_[best + 1].at);
    }
    ends_.clear();
    return IsUsable(factor) ? factor : 1.0f;
  }

 private:
  struct End {
    float at;
    int change;
  };
  std::vector<End> ends_;
};

class Search {
 public:
  explicit Search(const FactorProblem& problem) : problem_(problem) {
    found_.of_inputs.assign(problem.inputs, 1.0f);
    found_.of_outputs.assign(problem.outputs, 1.0f);
  }

  Factors Run(FactorSearch how) {
    for (int round = 0; how != FactorSearch::kInputs && round < kRounds; ++round) {
      Fit(true);
      Fit(false);
    }
    if (how == FactorSearch::kFit) return std::move(found_);
    Place(true);
    if (how == FactorSearch::kBoth) {
      Place(false);
      Place(true);
    }
    return std::move(found_);
  }

 private:
  // Calls body(own, other, place) for all weights: a factor of either side, and one of the other.
  template <class Body, class End>
  void ForEach(bool of_inputs, const Body& body, const End& end) {
    const size_t own_count = of_inputs ? problem_.inputs : problem_.outputs;
    const size_t other_count = of_inputs ? problem_.outputs : problem_.inputs;
    for (size_t own = 0; own < own_count; ++own) {
      for (size_t other = 0; other < other_count; ++other) {
        body(other, of_inputs ? problem_.PlaceOf(own, other) : problem_.PlaceOf(other, own));
      }
      end(own);
    }
  }
  std::vector<float>& Own(bool of_inputs) {
    return of_inputs ? found_.of_inputs : found_.of_outputs;
  }

  // Least squares. Weights whose codes are at an end may have been beyond it.
  void Fit(bool of_inputs) {
    const std::vector<float>& others = Own(!of_inputs);
    double product = 0;
    double square = 0;
    ForEach(
        of_inputs,
        [&](size_t other, size_t place) {
          const unsigned code = problem_.codes[place];
          if (code == 0 || code == problem_.top) return;
          const double steps = static_cast<double>(problem_.steps[place]) * others[other];
          product += steps * (static_cast<int>(code) - static_cast<int>(problem_.zeros[place]));
          square += steps * steps;
        },
        [&](size_t own) {
          const auto factor = static_cast<float>(product / square);
          Own(of_inputs)[own] = square > 0 && IsUsable(factor) ? factor : 1.0f;
          product = square = 0;
        });
  }

  void Place(bool of_inputs) {
    const std::vector<float>& others = Own(!of_inputs);
    FactorFinder finder;
    ForEach(
        of_inputs,
        [&](size_t other, size_t place) {
          finder.Add(problem_.steps[place] * others[other], problem_.codes[place],
                     problem_.zeros[place], static_cast<int>(problem_.top));
        },
        [&](size_t own) { Own(of_inputs)[own] = finder.Find(); });
  }

  const FactorProblem& problem_;
  Factors found_;
};

}  // namespace

Factors FindFactors(const FactorProblem& problem, FactorSearch how) {
  return Search(problem).Run(how);
}

void EncodeFactors(std::span<const float> factors, std::vector<std::byte>* out) {
  std::vector<uint8_t> plane(factors.size());
  for (unsigned shift = 0; shift < 32; shift += 8) {
    for (size_t i = 0; i < factors.size(); ++i) {
      plane[i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(factors[i]) >> shift);
    }
    codec::EncodePlane(plane, codec::Effort::kRans, out);
  }
}

Status DecodeFactors(base::ByteReader* payload, std::vector<uint8_t>* scratch,
                     std::span<float> factors) {
  scratch->resize(factors.size() + codec::kPlaneSlack);
  std::fill(factors.begin(), factors.end(), 0.0f);
  for (unsigned shift = 0; shift < 32; shift += 8) {
    QSTORE_ASSIGN(const uint8_t* plane,
                  codec::DecodePlane(payload, factors.size(), scratch->data()));
    for (size_t i = 0; i < factors.size(); ++i) {
      const auto known = std::bit_cast<uint32_t>(factors[i]);
      factors[i] = std::bit_cast<float>(known | static_cast<uint32_t>(plane[i]) << shift);
    }
  }
  for (float& factor : factors) factor = IsUsable(factor) ? factor : 1.0f;
  return {};
}

}  // namespace qstore::scheme
