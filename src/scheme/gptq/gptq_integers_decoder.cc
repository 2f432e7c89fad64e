// SPDX-License-Identifier: Apache-2.0
#include "base/status_macros.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"
#include "scheme/gptq/gptq_coder.h"
#include "scheme/gptq/gptq_inputs.h"

namespace qstore::scheme {

using gptq::Inputs;
using gptq::MostWidth;
using gptq::RowCount;

Status DecodeGptqIntegers(uint64_t first_input, base::ByteReader* payload, const GptqTensor& own,
                          std::span<const std::byte> parent_words, const GptqTensor& parent,
                          GptqScratch* scratch, std::span<std::byte> raw) {
  const unsigned parent_zeros = payload->Fixed<uint8_t>();
  const unsigned own_zeros = payload->Fixed<uint8_t>();
  const unsigned width = payload->Fixed<uint8_t>();
  const unsigned bits = own.shape.bits;
  if (!IsGptqZeros(parent_zeros, parent.shape.bits) || !IsGptqZeros(own_zeros, bits) ||
      width > MostWidth(bits)) {
    return Corrupt("gptq integers: header out of range");
  }
  Inputs inputs(first_input, RowCount(raw, own.shape), own, parent, scratch);
  QSTORE_TRY(inputs.Prepare(own, parent, parent_words));
  inputs.SetZeros(static_cast<GptqZeros>(own_zeros), static_cast<GptqZeros>(parent_zeros));
  const size_t total = inputs.rows() * inputs.columns();
  scratch->nibbles.resize(total);
  QSTORE_TRY(codec::DecodeNibbles(payload, &scratch->planes, scratch->nibbles));
  const uint8_t* low = nullptr;
  if (width > 0) {
    QSTORE_ASSIGN(low, codec::DecodePlane(payload, total, scratch->planes.Get(1, total)));
  } else {
    scratch->low.assign(inputs.columns(), 0);
  }
  scratch->own_q.resize(total);
  for (size_t r = 0; r < inputs.rows(); ++r) {
    const codec::IntegerRun run = inputs.Run(r, width);
    const size_t at = r * inputs.columns();
    codec::ActiveKernels().integer_residual(inputs.parent_q(r), scratch->nibbles.data() + at,
                                            width > 0 ? low + at : scratch->low.data(),
                                            inputs.columns(), &run, scratch->own_q.data() + at);
  }
  const uint64_t listed = payload->Varint();
  if (listed > total) return Corrupt("gptq integers: more values listed than there are");
  size_t next = 0;
  for (uint64_t i = 0; i < listed; ++i, ++next) {
    const uint64_t skip = payload->Varint();
    const auto value = payload->Fixed<uint8_t>();
    if (!payload->ok() || skip >= total - next || value >> bits != 0) {
      return Corrupt("gptq integers: listed value out of range");
    }
    next += static_cast<size_t>(skip);
    scratch->own_q[next] = value;
  }
  if (!payload->ok()) return Corrupt("gptq integers: list of values missing");
  codec::ActiveKernels().pack_inputs(scratch->own_q.data(), bits, inputs.rows(), inputs.columns(),
                                     reinterpret_cast<uint8_t*>(raw.data()));
  return {};
}

}  // namespace qstore::scheme
