// SPDX-License-Identifier: Apache-2.0
#include "codec/row_promise.h"

#include <algorithm>
#include <cmath>

#include "base/isa.h"
#include "codec/row_model.h"

namespace qstore::codec {
namespace {

constexpr double kBitsPerNat = 1.4426950408889634;
// The sample: in runs, so that neighbours are among the pairs of places as well as distant ones.
constexpr size_t kMostPlaces = 128;
constexpr size_t kMostRows = 512;
constexpr size_t kRun = 8;
// Every so many symbols count for the entropy.
constexpr size_t kCountStep = 8;
// The numbers of a place or row are heavier in their tails than normal ones, but not without end.
constexpr double kMostKurtosis = 6;
constexpr double kTiny = 1e-70;

// Mean and variance of what is added.
class Moments {
 public:
  void Add(double value) {
    count_ += 1;
    sum_ += value;
    squares_ += value * value;
  }
  double mean() const { return sum_ / count_; }
  double variance() const { return std::max(0.0, squares_ / count_ - mean() * mean()); }

 private:
  double count_ = 0;
  double sum_ = 0;
  double squares_ = 0;
};

double EntropyBits(std::span<const uint16_t> of, uint32_t symbols, std::vector<uint32_t>* counts) {
  counts->assign(symbols, 0);
  double total = 0;
  for (size_t i = 0; i < of.size(); i += kCountStep) {
    ++(*counts)[of[i]];
    total += 1;
  }
  double bits = 0;
  for (const uint32_t c : *counts) bits += c > 0 ? c * std::log2(total / c) : 0;
  return bits / total;
}

// What knowing the deviations gains, whose squares' logarithms vary by `variance`: the first term
// of the mutual information, which is the largest that it can be.
double GainOfScales(double variance) { return kBitsPerNat / 4 * std::max(0.0, variance); }

class Sampled {
 public:
  Sampled(const RowLayout& layout, RowSample* sample)
      : sample_(sample),
        width_(std::min(layout.width, layout.places)),
        places_(std::min(kMostPlaces, width_) / kRun * kRun),
        rows_(std::min(kMostRows, layout.rows) / kRowColumns * kRowColumns) {
    sample_->by_place.resize(places_ * rows_);
    sample_->by_row.resize(places_ * rows_);
  }

  // Takes places of the block in the middle, each less its mean and over its deviation.
  double Places(const RowSymbols& symbols, std::span<const uint16_t> of, const RowLayout& layout) {
    const size_t blocks = (layout.places + width_ - 1) / width_;
    const size_t begin = std::min(blocks / 2 * width_, layout.places - width_);
    Moments logarithms;
    Moments means;
    for (size_t i = 0; i < places_; ++i) {
      const size_t place = begin + i / kRun * kRun * width_ / places_ + i % kRun;
      float* const values = sample_->by_place.data() + i * rows_;
      Moments moments;
      for (size_t r = 0; r < rows_; ++r) {
        const size_t row = r * layout.rows / rows_;
        values[r] = symbols.center(of[place * layout.place_step + row * layout.row_step]);
        moments.Add(values[r]);
      }
      const double variance = moments.variance() + kTiny;
      const auto inverse = static_cast<float>(1 / std::sqrt(variance));
      const auto mean = static_cast<float>(moments.mean());
      for (size_t r = 0; r < rows_; ++r) values[r] = (values[r] - mean) * inverse;
      logarithms.Add(std::log(variance));
      means.Add(moments.mean() * moments.mean() / variance);
    }
    const auto rows = static_cast<double>(rows_);
    return GainOfScales(logarithms.variance() - 2 / rows) +
           kBitsPerNat / 2 * std::max(0.0, std::log1p(means.mean()) - 1 / rows);
  }

  // Brings the rows to one deviation.
  double Rows() {
    Moments logarithms;
    double fourth = 0;
    for (size_t r = 0; r < rows_; ++r) {
      float* const row = sample_->by_row.data() + r * places_;
      double squares = 0;
      for (size_t i = 0; i < places_; ++i) {
        row[i] = sample_->by_place[i * rows_ + r];
        const double square = double{row[i]} * row[i];
        squares += square;
        fourth += square * square;
      }
      const double variance = squares / static_cast<double>(places_) + kTiny;
      const auto inverse = static_cast<float>(1 / std::sqrt(variance));
      for (size_t i = 0; i < places_; ++i) {
        row[i] *= inverse;
        sample_->by_place[i * rows_ + r] = row[i];
      }
      logarithms.Add(std::log(variance));
    }
    const double kurtosis = std::min(kMostKurtosis, fourth / static_cast<double>(places_ * rows_));
    return GainOfScales(logarithms.variance() - (kurtosis - 1) / static_cast<double>(places_));
  }

  // The correlations of pairs, without what chance makes of them, stand for those of all pairs.
  double Related(const RowKernels& kernels) {
    std::vector<float>& products = sample_->products;
    double squares = 0;
    for (size_t i = 0; i < places_; ++i) {
      products.assign(places_, 0.0f);
      for (size_t r = 0; r < rows_; r += kRowColumns) {
        kernels.add(sample_->by_row.data() + r * places_, places_,
                    sample_->by_place.data() + i * rows_ + r, places_, products.data());
      }
      products[i] = 0;
      for (const float p : products) squares += double{p} * p;
    }
    const auto places = static_cast<double>(places_);
    const auto rows = static_cast<double>(rows_);
    const double of_pair = squares / (places * (places - 1) * rows * rows) - 1 / rows;
    return kBitsPerNat / 4 * static_cast<double>(width_ - 1) * of_pair;
  }

 private:
  RowSample* sample_;
  size_t width_;
  size_t places_;
  size_t rows_;
};

// The error of half `width` coefficients on average, each drawn to 0 by the prior, over all rows.
double LearningBits(double width, double rows, double ridge) {
  const double of_coefficient = (std::log1p(rows / ridge) - rows / (rows + ridge)) / (2 * rows);
  return kBitsPerNat * width / 2 * of_coefficient;
}

}  // namespace

double PromiseBits(const RowSymbols& symbols, std::span<const uint16_t> of, const RowLayout& layout,
                   double ridge, RowSample* sample) {
  Sampled sampled(layout, sample);
  double gain = sampled.Places(symbols, of, layout);
  gain += sampled.Rows();
  gain += sampled.Related(RowKernelsFor(base::ActiveIsa()));
  const double learning =
      LearningBits(static_cast<double>(layout.width), static_cast<double>(layout.rows), ridge);
  const double entropy = EntropyBits(of, symbols.size(), &sample->counts);
  return (entropy - gain + learning) * static_cast<double>(of.size());
}

}  // namespace qstore::codec
