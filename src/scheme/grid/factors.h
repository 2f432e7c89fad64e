// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "qstore/status.h"

// Factors of inputs and outputs by which a tool multiplied weights before it rounded them, as AWQ
// (Lin et al. 2023) and SmoothQuant (Xiao et al. 2022) do. They are found from the codes.
// docs/format-grids.md, "Near codes".

namespace qstore::scheme {

/// Weights of some inputs and outputs beside the codes that a tool made of them. The place of a
/// weight is input * input_stride + output * output_stride.
struct FactorProblem {
  size_t inputs = 0;
  size_t outputs = 0;
  size_t input_stride = 0;
  size_t output_stride = 0;
  const float* steps = nullptr;  ///< Weights in codes, CountSteps of them.
  const uint8_t* codes = nullptr;
  const uint8_t* zeros = nullptr;
  unsigned top = 0;  ///< The largest code: weights beyond it have it too.

  size_t PlaceOf(size_t input, size_t output) const {
    return input * input_stride + output * output_stride;
  }
};

struct Factors {
  std::vector<float> of_inputs;
  std::vector<float> of_outputs;
};

/// How factors are looked for.
enum class FactorSearch : uint8_t {
  kFit,     ///< Those of both sides that come near the codes: one look at the weights a round.
  kInputs,  ///< Those of inputs with which most weights round to their codes, of few bits each.
  kBoth,    ///< The same, of both sides.
};
Factors FindFactors(const FactorProblem& problem, FactorSearch how);

/// Appends factors as four plane streams, the lowest bytes first.
void EncodeFactors(std::span<const float> factors, std::vector<std::byte>* out);

/// The inverse; fills `factors`. One that is not from 2^-100 to 2^100 counts as 1. See DecodePlane
/// on slack.
Status DecodeFactors(base::ByteReader* payload, std::vector<uint8_t>* scratch,
                     std::span<float> factors);

}  // namespace qstore::scheme
