// SPDX-License-Identifier: Apache-2.0
// Any payload under any codec either decodes to something or is an error; it never reads or writes
// outside its spans, which AddressSanitizer watches.
#include "fuzz/chunk_fuzz.h"
#include "fuzz/fuzz.h"
#include "scheme/chunk_coder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  static qstore::scheme::ChunkCoder coder;
  qstore::fuzz::FuzzInput in(input);
  const auto codec = static_cast<qstore::ChunkCodec>(in.Below(qstore::kChunkCodecCount + 1));
  const auto chunk = qstore::fuzz::TakeChunkCase(&in);
  if (chunk.spec.byte_size == 0) return 0;
  const std::vector<std::byte> payload(in.Rest().begin(), in.Rest().end());
  std::vector<std::byte> raw(chunk.byte_size());
  const auto status = coder.Decode(chunk.spec, chunk.chunk, codec, payload, chunk.given(), raw);
  FUZZ_CHECK(status.ok() || !status.message().empty());
  return 0;
}
