// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/block_values.h"

#include <array>
#include <cstring>

#include "base/bytes.h"
#include "base/float_convert.h"

namespace qstore::scheme::ggml {

bool HasValues(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         GridOfBlocks(dtype) != nullptr;
}

void ValuesOf(DType dtype, std::span<const std::byte> content, ValueScratch* scratch,
              std::span<float> values) {
  const std::byte* in = content.data();
  switch (dtype) {
    case DType::kF32:
      if (!values.empty()) std::memcpy(values.data(), in, values.size_bytes());
      return;
    case DType::kF16:
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = base::Fp16ToFloat(base::LoadLe<uint16_t>(in + 2 * i));
      }
      return;
    case DType::kBF16:
      ValuesOfBf16(content, values);
      return;
    default:
      break;
  }
  const codec::BlockLayout& layout = *codec::LayoutOfBlocks(dtype);
  const BlockGrid& grid = *GridOfBlocks(dtype);
  codec::SplitBlocks(layout, content, &scratch->blocks);
  std::array<const uint8_t*, codec::kMaxBlockStreams> streams{};
  for (size_t s = 0; s < layout.streams.size(); ++s) streams[s] = scratch->blocks.stream(s);
  scratch->scales.Fill(grid, layout.weights, streams.data(), content.size() / layout.bytes);
  ValuesOfCodes(grid, scratch->scales, streams[layout.codes()], values);
}

void RoundTo(DType dtype, std::span<const float> values, std::span<std::byte> out) {
  if (dtype == DType::kF32) {
    if (!values.empty()) std::memcpy(out.data(), values.data(), values.size_bytes());
  } else if (dtype == DType::kF16) {
    for (size_t i = 0; i < values.size(); ++i) {
      base::StoreLe(out.data() + 2 * i, base::FloatToFp16(values[i]));
    }
  } else {
    for (size_t i = 0; i < values.size(); ++i) {
      base::StoreLe(out.data() + 2 * i, base::FloatToBf16(values[i]));
    }
  }
}

}  // namespace qstore::scheme::ggml
