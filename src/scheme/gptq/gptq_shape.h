// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

namespace qstore::scheme {

/// Sizes of a GPTQ tensor: integers of `bits` bits for every pair of an input and an output, with a
/// scale and a zero point for every pair of a group of inputs and an output.
struct GptqShape {
  uint64_t inputs = 0;
  uint64_t outputs = 0;
  uint64_t groups = 0;
  unsigned bits = 0;

  uint64_t elem_count() const { return inputs * outputs; }
};

/// Neighbouring outputs of a tensor.
struct GptqOutputs {
  uint64_t first = 0;
  uint64_t count = 0;
};

/// On disk: integers are packed along the inputs, zero points along the outputs, both in a plain
/// stream of bits that fills whole words of 32 bits for one output or one group.
constexpr bool IsGptqBits(uint64_t bits) {
  return bits == 2 || bits == 3 || bits == 4 || bits == 8;
}

/// The shape that the sizes of qweight (words of 32 bits, rows of `outputs`), scales and qzeros
/// (bytes) leave, or nothing where they fit no shape.
constexpr std::optional<GptqShape> GptqShapeOf(uint64_t outputs, uint64_t weight_bytes,
                                               uint64_t scale_count, uint64_t zero_bytes) {
  if (outputs == 0 || weight_bytes == 0 || scale_count == 0 || scale_count % outputs != 0 ||
      outputs > UINT32_MAX || zero_bytes > UINT64_MAX / 8) {
    return std::nullopt;
  }
  GptqShape shape;
  shape.outputs = outputs;
  shape.groups = scale_count / outputs;
  const uint64_t bits = 8 * zero_bytes / scale_count;
  if (8 * zero_bytes % scale_count != 0 || !IsGptqBits(bits)) return std::nullopt;
  shape.bits = static_cast<unsigned>(bits);
  // Outputs times bits fill words, as do inputs times bits.
  if (outputs * bits % 32 != 0 || weight_bytes % (4 * outputs) != 0) return std::nullopt;
  const uint64_t words = weight_bytes / (4 * outputs);
  if (words * 32 % bits != 0) return std::nullopt;
  shape.inputs = words * 32 / bits;
  if (shape.inputs > UINT32_MAX || shape.groups > shape.inputs) return std::nullopt;
  return shape;
}

}  // namespace qstore::scheme
