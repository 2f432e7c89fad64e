// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/near_weights.h"

#include "base/status_macros.h"
#include "scheme/grid/nearest.h"

namespace qstore::scheme {
namespace {

// How the numbers that are rounded come about; summed. On disk.
enum Flag : uint8_t {
  kRoundsProducts = 1,
  kRoundsQuotients = 2,
  kInputFactors = 4,
  kOutputFactors = 8,
  kAllFlags = 15
};

// About what a code that is not the nearest one takes, and a factor.
constexpr uint64_t kBitsOfMiss = 8;
constexpr uint64_t kBitsOfFactor = 12;

void MultiplyBy(const NearWeights& of, const std::vector<float>& factors, bool are_of_inputs,
                float* values) {
  const size_t runs = of.by_input ? of.inputs : of.outputs;
  const size_t run = of.by_input ? of.outputs : of.inputs;
  for (size_t r = 0; r < runs; ++r, values += run) {
    if (of.by_input == are_of_inputs) {
      for (size_t i = 0; i < run; ++i) values[i] = WithoutSmall(values[i] * factors[r]);
    } else {
      for (size_t i = 0; i < run; ++i) values[i] = WithoutSmall(values[i] * factors[i]);
    }
  }
}

void Prepare(uint8_t flags, NearWeights* of) {
  const DType product = (flags & kRoundsProducts) != 0 ? of->scales_dtype : DType::kF32;
  const DType quotient = (flags & kRoundsQuotients) != 0 ? of->scales_dtype : DType::kF32;
  of->steps = of->values;
  float* steps = of->steps.data();
  if ((flags & kInputFactors) != 0) {
    MultiplyBy(*of, of->factors.of_inputs, true, steps);
    RoundAll(product, of->count(), steps);
  }
  if ((flags & kOutputFactors) != 0) {
    MultiplyBy(*of, of->factors.of_outputs, false, steps);
    RoundAll(product, of->count(), steps);
  }
  CountSteps(steps, of->scales.data(), of->count(), quotient, steps);
  FindNearest(steps, of->zeros.data(), of->count(), of->bits, of->nearest.data(),
              of->places.data());
}

uint64_t CountMisses(const NearWeights& of, std::span<const uint8_t> codes) {
  uint64_t misses = 0;
  for (size_t i = 0; i < codes.size(); ++i) misses += codes[i] != of.nearest[i] ? 1 : 0;
  return misses;
}

/// Tries ways to come from weights to codes, and keeps the cheapest.
class Chooser {
 public:
  Chooser(NearWeights* of, std::span<const uint8_t> codes) : of_(*of), codes_(codes) {}

  void Run() {
    Try(0, {});
    Try(kRoundsQuotients, {});
    // What is nearly always right needs no factors.
    constexpr uint64_t kNearlyAll = 256;
    if (least_ * kNearlyAll > codes_.size() * kBitsOfMiss && FactorsHelp()) TryFactors();
    of_.factors = std::move(factors_);
    Prepare(flags_, &of_);
  }
  uint8_t flags() const { return flags_; }

 private:
  FactorProblem Problem() {
    // The weights in codes, as they are.
    CountSteps(of_.values.data(), of_.scales.data(), of_.count(), DType::kF32, of_.steps.data());
    FactorProblem problem{of_.inputs, of_.outputs};
    (of_.by_input ? problem.input_stride : problem.output_stride) =
        of_.by_input ? of_.outputs : of_.inputs;
    (of_.by_input ? problem.output_stride : problem.input_stride) = 1;
    problem.steps = of_.steps.data();
    problem.codes = codes_.data();
    problem.zeros = of_.zeros.data();
    problem.top = (1u << of_.bits) - 1;
    return problem;
  }

  // Of codes that were moved for other reasons no factors make sense.
  bool FactorsHelp() {
    of_.factors = FindFactors(Problem(), FactorSearch::kFit);
    Prepare(kInputFactors | kOutputFactors, &of_);
    return CountMisses(of_, codes_) * kBitsOfMiss < least_ / 4 * 3;
  }

  void TryFactors() {
    const Factors inputs = FindFactors(Problem(), FactorSearch::kInputs);
    const Factors both = FindFactors(Problem(), FactorSearch::kBoth);
    for (const unsigned roundings :
         {0u, kRoundsProducts + 0u, kRoundsProducts + 0u + kRoundsQuotients}) {
      Try(static_cast<uint8_t>(kInputFactors | roundings), inputs);
      Try(static_cast<uint8_t>(kInputFactors | kOutputFactors | roundings), both);
    }
  }

  void Try(uint8_t flags, const Factors& factors) {
    of_.factors = factors;
    Prepare(flags, &of_);
    const uint64_t factor_count = ((flags & kInputFactors) != 0 ? of_.inputs : 0) +
                                  ((flags & kOutputFactors) != 0 ? of_.outputs : 0);
    const uint64_t cost = CountMisses(of_, codes_) * kBitsOfMiss + factor_count * kBitsOfFactor;
    if (cost >= least_) return;
    least_ = cost;
    flags_ = flags;
    factors_ = factors;
  }

  NearWeights& of_;
  std::span<const uint8_t> codes_;
  uint64_t least_ = UINT64_MAX;
  uint8_t flags_ = 0;
  Factors factors_;
};

}  // namespace

void NearWeights::Resize() {
  values.resize(count());
  scales.resize(count());
  zeros.resize(count());
  steps.resize(count());
  nearest.resize(count());
  places.resize(count());
}

void EncodeNearCodes(NearWeights* weights, std::span<const uint8_t> codes,
                     std::vector<std::byte>* out) {
  Chooser chooser(weights, codes);
  chooser.Run();
  const uint8_t flags = chooser.flags();
  out->push_back(static_cast<std::byte>(flags));
  if ((flags & kInputFactors) != 0) EncodeFactors(weights->factors.of_inputs, out);
  if ((flags & kOutputFactors) != 0) EncodeFactors(weights->factors.of_outputs, out);
  EncodeNear(weights->bits, codes, weights->nearest, weights->places, &weights->near, out);
}

Status DecodeNearCodes(NearWeights* weights, base::ByteReader* payload, std::span<uint8_t> codes) {
  const auto flags = payload->Fixed<uint8_t>();
  if (flags > kAllFlags) return Corrupt("near codes: flags out of range");
  weights->factors.of_inputs.resize(weights->inputs);
  weights->factors.of_outputs.resize(weights->outputs);
  if ((flags & kInputFactors) != 0) {
    QSTORE_TRY(DecodeFactors(payload, &weights->plane, weights->factors.of_inputs));
  }
  if ((flags & kOutputFactors) != 0) {
    QSTORE_TRY(DecodeFactors(payload, &weights->plane, weights->factors.of_outputs));
  }
  Prepare(flags, weights);
  return DecodeNear(weights->bits, payload, weights->nearest, weights->places, &weights->near,
                    codes);
}

}  // namespace qstore::scheme
