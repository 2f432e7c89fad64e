// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/unlike_blocks.h"

#include <cstring>

#include "base/status_macros.h"

namespace qstore::scheme::ggml {
namespace {

WeightReader ReaderOf(std::span<const float> weights) {
  return [weights](size_t first, size_t count) { return weights.subspan(first, count); };
}

// Parts of `all`, of `size` elements each, that have a flag.
template <class T>
void Gather(std::span<const uint8_t> flags, std::span<const T> all, size_t size,
            std::vector<T>* out) {
  out->clear();
  for (size_t b = 0; b < flags.size(); ++b) {
    if (flags[b] == 0) continue;
    const auto part = all.subspan(b * size, size);
    out->insert(out->end(), part.begin(), part.end());
  }
}

}  // namespace

void EncodeUnlike(DType dtype, std::span<const float> weights, std::span<const std::byte> made,
                  std::span<const std::byte> raw, codec::Effort effort, UnlikeScratch* scratch,
                  std::vector<std::byte>* out) {
  const size_t size = DTypeBits(dtype) / 8;
  scratch->flags.resize(raw.size() / size);
  for (size_t b = 0; b < scratch->flags.size(); ++b) {
    scratch->flags[b] =
        std::memcmp(raw.data() + b * size, made.data() + b * size, size) != 0 ? 1 : 0;
  }
  codec::EncodePlane(scratch->flags, effort, out);
  Gather<float>(scratch->flags, weights, DTypeBlock(dtype), &scratch->weights);
  Gather<std::byte>(scratch->flags, made, size, &scratch->made);
  Gather<std::byte>(scratch->flags, raw, size, &scratch->blocks);
  BlockCoder(dtype, &scratch->coder)
      .Encode(ReaderOf(scratch->weights), scratch->made, scratch->blocks, effort, out);
}

Status DecodeUnlike(DType dtype, base::ByteReader* payload, std::span<const float> weights,
                    UnlikeScratch* scratch, std::span<std::byte> blocks) {
  const size_t size = DTypeBits(dtype) / 8;
  const size_t count = blocks.size() / size;
  scratch->flags.resize(count + codec::kPlaneSlack);
  QSTORE_ASSIGN(const uint8_t* plane, codec::DecodePlane(payload, count, scratch->flags.data()));
  const std::span flags(plane, count);
  Gather<float>(flags, weights, DTypeBlock(dtype), &scratch->weights);
  Gather<std::byte>(flags, blocks, size, &scratch->made);
  if (scratch->made.empty()) return Corrupt("ggml: no block is another than is made");
  scratch->blocks.resize(scratch->made.size());
  QSTORE_TRY(BlockCoder(dtype, &scratch->coder)
                 .Decode(payload, ReaderOf(scratch->weights), scratch->made, scratch->blocks));
  size_t at = 0;
  for (size_t b = 0; b < count; ++b) {
    if (flags[b] == 0) continue;
    std::memcpy(blocks.data() + b * size, scratch->blocks.data() + at, size);
    at += size;
  }
  return {};
}

}  // namespace qstore::scheme::ggml
