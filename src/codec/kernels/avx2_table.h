// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "codec/kernels/avx2_loops.h"
#include "codec/kernels/avx2_put_loops.h"
#include "codec/kernels/bin_table_loops.h"
#include "codec/kernels/integer_loops.h"
#include "codec/kernels/internal.h"
#include "codec/kernels/put_residual_loops.h"
#include "codec/kernels/residual_loops.h"
#include "codec/kernels/vector_loops.h"
#include "codec/kernels/words_loops.h"

// The table of a file for AVX2, compiled as avx2_loops.h is.

namespace qstore::codec {
namespace {

constexpr Kernels Avx2Table(const char* name) {
  return {
      .name = name,
      .huffman32 = loops::Huffman32,
      .put_huffman32 = loops::PutHuffman32,
      .rans_rounds = avx2::RansRounds,
      .rans_symbols = avx2::RansSymbols,
      .put_rans_rounds = avx2::PutRansRounds,
      .put_rans_symbols = avx2::PutRansSymbols,
      .unpack = loops::Unpack,
      .pack = loops::Pack,
      .merge_nibbles = MergeNibbles,
      .split_nibbles = SplitNibbles,
      .merge_float16 = loops::MergeFloat16,
      .split_float16 = loops::SplitFloat16,
      .merge_float32 = loops::MergeFloat32,
      .find_places = FindPlaces,
      .bf16_bins = loops::Bf16Bins,
      .bins8 = Bins8,
      .put_bins8 = PutBins8,
      .put_bins16 = scalar::PutBins16,
      .bins16 = Bins16,
      .finish16 = Finish16,
      .residual16 = loops::Residual16,
      .put_residual16 = loops::PutResidual16,
      .integer_residual = loops::IntegerResidual,
      .integer_differences = loops::IntegerDifferences,
      .put_integer_residual = loops::PutIntegerResidual,
      .unpack_inputs = loops::UnpackInputs,
      .pack_inputs = loops::PackInputs,
      .transpose_words = loops::TransposeWords,
  };
}

}  // namespace
}  // namespace qstore::codec
