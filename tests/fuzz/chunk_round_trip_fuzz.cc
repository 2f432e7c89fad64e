// SPDX-License-Identifier: Apache-2.0
// Any content under any scheme comes back equal, and never grows.
#include <algorithm>

#include "fuzz/chunk_fuzz.h"
#include "fuzz/fuzz.h"
#include "qstore/level.h"
#include "scheme/chunk_coder.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  static qstore::scheme::ChunkCoder encoder;
  static qstore::scheme::ChunkCoder decoder;
  qstore::fuzz::FuzzInput in(input);
  const auto level = static_cast<qstore::Level>(1 + in.Below(3));
  const auto chunk = qstore::fuzz::TakeChunkCase(&in);
  if (chunk.spec.byte_size == 0) return 0;
  const auto raw = in.Bytes(chunk.byte_size());
  std::vector<std::byte> payload;
  const auto codec = encoder.Encode(chunk.spec, level, chunk.chunk, raw, chunk.given(), &payload);
  FUZZ_CHECK(codec.ok());
  FUZZ_CHECK(payload.size() <= raw.size());
  std::vector<std::byte> back(raw.size());
  FUZZ_CHECK(decoder.Decode(chunk.spec, chunk.chunk, *codec, payload, chunk.given(), back).ok());
  FUZZ_CHECK(back == raw);
  return 0;
}
