// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace qstore::analyze {

/// Whether GPTQ packs integers of so many bits: 2, 3, 4 or 8.
bool IsGptqWidth(uint64_t bits);

/// Takes apart words packed along the input dimension, as GPTQ's qweight has them: value i of a
/// column is bits [i * bits, (i + 1) * bits) of the column's words, read as one little-endian
/// number. This holds for the 3-bit layout too, 32 values in 3 words.
/// `words` is [inputs * bits / 32][columns], `values` becomes [columns][inputs].
/// REQUIRES: IsGptqWidth(bits), and inputs * bits a multiple of 32.
/// Source: GPTQModel, nn_modules/qlinear (pack).
void UnpackColumns(std::span<const uint32_t> words, size_t columns, unsigned bits, size_t inputs,
                   uint8_t* values);

}  // namespace qstore::analyze
