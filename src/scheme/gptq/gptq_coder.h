// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "codec/floating.h"
#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/gptq/gptq_tensor.h"

namespace qstore::scheme {

/// Scratch memory of the coders below.
struct GptqScratch {
  codec::PlaneScratch planes;
  std::vector<uint32_t> group_of;      // By input.
  std::vector<uint32_t> own_group_of;  // Likewise, of the child.
  std::vector<uint32_t> rank;          // By input: its place in the order of groups.
  std::vector<float> scales;           // By group, then row or column.
  std::vector<uint8_t> zeros;
  std::vector<float> own_scales;
  std::vector<uint8_t> own_zeros;
  std::vector<uint8_t> streams;  // By row: packed integers of a few inputs.
  std::vector<uint8_t> q;        // Unpacked integers of the parent.
  std::vector<uint8_t> own_q;
  std::vector<uint8_t> nibbles;
  std::vector<uint8_t> low;
  std::vector<uint8_t> extra;
  std::vector<uint8_t> flags;
  std::vector<uint8_t> differences;  // Of samples.
  std::vector<uint8_t> least;        // Likewise, the least so far.
  std::vector<uint32_t> listed;
  std::vector<uint8_t> ordered;  // Values in the order of groups.
};

/// Appends rows of weights (`raw`, patterns of `dtype`: BF16 or F16, whole rows of
/// parent.shape.inputs, from row `first_row` on) given the same weights quantized. Returns how many
/// values are listed, or nothing, and appends nothing, when the parent's groups make no sense.
/// docs/format-coding.md, "GPTQ floats".
std::optional<size_t> EncodeGptqFloats(DType dtype, codec::Effort effort, uint64_t first_row,
                                       std::span<const std::byte> raw, const GptqTensor& parent,
                                       GptqScratch* scratch, std::vector<std::byte>* out);

/// The inverse; fills `raw`.
Status DecodeGptqFloats(DType dtype, uint64_t first_row, base::ByteReader* payload,
                        const GptqTensor& parent, GptqScratch* scratch, std::span<std::byte> raw);

/// Appends packed integers (`raw`, of all outputs for inputs from `first_input` on) given those of
/// another tensor of the same inputs and outputs (`parent_words`, for the same inputs). `own` and
/// `parent` have scales, zero points and groups; their weights are not looked at. Returns as
/// EncodeGptqFloats. docs/format-coding.md, "GPTQ integers".
std::optional<size_t> EncodeGptqIntegers(codec::Effort effort, uint64_t first_input,
                                         std::span<const std::byte> raw, const GptqTensor& own,
                                         std::span<const std::byte> parent_words,
                                         const GptqTensor& parent, GptqScratch* scratch,
                                         std::vector<std::byte>* out);

/// The inverse; fills `raw`.
Status DecodeGptqIntegers(uint64_t first_input, base::ByteReader* payload, const GptqTensor& own,
                          std::span<const std::byte> parent_words, const GptqTensor& parent,
                          GptqScratch* scratch, std::span<std::byte> raw);

}  // namespace qstore::scheme
