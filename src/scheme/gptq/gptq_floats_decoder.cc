// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_rows.h"

namespace qstore::scheme {
namespace {

Result<codec::BitCursor> ReadBits(base::ByteReader* payload, uint64_t bits) {
  const auto bytes = payload->Bytes(bits / 8 + (bits % 8 != 0));
  if (!payload->ok()) return Corrupt("gptq floats: bit streams are cut short");
  return codec::BitCursor{reinterpret_cast<const uint8_t*>(bytes.data()), 0, bits};
}

Status ReadListed(base::ByteReader* payload, size_t count, uint8_t* values) {
  const uint64_t listed = payload->Varint();
  if (listed > count) return Corrupt("gptq floats: more values listed than there are");
  uint64_t next = 0;
  for (uint64_t i = 0; i < listed; ++i, ++next) {
    const uint64_t skip = payload->Varint();
    const auto value = payload->Fixed<uint16_t>();
    if (!payload->ok() || skip >= count - next) {
      return Corrupt("gptq floats: listed value out of range");
    }
    next += skip;
    std::memcpy(values + 2 * next, &value, sizeof(value));
  }
  return payload->ok() ? Status() : Corrupt("gptq floats: list of values missing");
}

}  // namespace

Status DecodeGptqFloats(DType dtype, uint64_t first_row, base::ByteReader* payload,
                        const GptqTensor& parent, GptqScratch* scratch, std::span<std::byte> raw) {
  const size_t row_bytes = 2 * parent.shape.inputs;
  const size_t count = raw.size() / 2;
  const unsigned zeros = payload->Fixed<uint8_t>();
  const unsigned width = payload->Fixed<uint8_t>();
  const uint64_t low_count = payload->Varint();
  const uint64_t extra_count = payload->Varint();
  if (!IsGptqZeros(zeros, parent.shape.bits) || width > MantissaBits(dtype) + 1) {
    return Corrupt("gptq floats: header out of range");
  }
  scratch->nibbles.resize(count);
  QSTORE_TRY(codec::DecodeNibbles(payload, &scratch->planes, scratch->nibbles));
  QSTORE_ASSIGN(codec::BitCursor low, ReadBits(payload, low_count));
  QSTORE_ASSIGN(codec::BitCursor extra, ReadBits(payload, extra_count));
  GptqRows rows(dtype, parent, first_row, raw.size() / row_bytes, scratch);
  QSTORE_TRY(rows.Prepare());
  rows.SetZeros(static_cast<GptqZeros>(zeros));
  auto* values = reinterpret_cast<uint8_t*>(raw.data());
  if (!rows.is_ordered()) {
    scratch->ordered.resize(raw.size());
    values = scratch->ordered.data();
  }
  std::vector<codec::ResidualRun> runs(rows.runs().size());
  for (size_t r = 0; r < rows.rows(); ++r) {
    for (size_t i = 0; i < runs.size(); ++i) runs[i] = rows.Run(r, rows.runs()[i], width);
    const size_t place = r * rows.inputs();
    codec::ActiveKernels().residual16(rows.q(r), scratch->nibbles.data() + place, runs.data(),
                                      runs.size(), &low, &extra, values + 2 * place);
  }
  if (low.position != low.limit || extra.position != extra.limit) {
    return Corrupt("gptq floats: bit streams do not end where their counts say");
  }
  QSTORE_TRY(ReadListed(payload, count, values));
  for (size_t r = 0; !rows.is_ordered() && r < rows.rows(); ++r) {
    rows.ToInputs(values + r * row_bytes, reinterpret_cast<uint8_t*>(raw.data()) + r * row_bytes);
  }
  return {};
}

}  // namespace qstore::scheme
