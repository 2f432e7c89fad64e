// SPDX-License-Identifier: Apache-2.0
#include "qstore/dequantize.h"

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/float_mode.h"
#include "base/pipeline.h"
#include "scheme/ggml/block_values.h"

namespace qstore {
namespace {

// Weights that one thread computes at a time: of whole blocks of every type.
constexpr size_t kPiece = 8192;

Status Run(DType dtype, std::span<const std::byte> content, std::span<float> weights,
           unsigned threads) {
  const std::string name(DTypeName(dtype));
  if (!CanDequantize(dtype)) return InvalidArgument("type " + name + " has no weights here");
  const size_t block = DTypeBlock(dtype);
  const size_t bytes = DTypeBits(dtype) / 8;
  if (weights.size() % block != 0 || content.size() % bytes != 0 ||
      weights.size() / block != content.size() / bytes) {
    return InvalidArgument(std::to_string(content.size()) + " bytes are not the blocks of " +
                           std::to_string(weights.size()) + " weights of type " + name);
  }
  const auto work = [&](const base::PipelineItem& item) -> Status {
    const size_t begin = static_cast<size_t>(item.index) * kPiece;
    const size_t count = std::min(kPiece, weights.size() - begin);
    const base::FloatMode ieee;
    scheme::ggml::ValueScratch scratch;
    scheme::ggml::ValuesOf(dtype, content.subspan(begin / block * bytes, count / block * bytes),
                           &scratch, weights.subspan(begin, count));
    return {};
  };
  const unsigned most = base::ThreadCount(threads);
  return base::RunPipeline((weights.size() + kPiece - 1) / kPiece, {most, most}, work, {});
}

}  // namespace

bool CanDequantize(DType dtype) { return scheme::ggml::HasValues(dtype); }

Status Dequantize(DType dtype, std::span<const std::byte> content, std::span<float> weights,
                  unsigned threads) {
  return base::Guarded([&] { return Run(dtype, content, weights, threads); });
}

}  // namespace qstore
