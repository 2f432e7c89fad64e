// SPDX-License-Identifier: Apache-2.0
// Whatever the reader accepts describes tensors that tile the data section exactly.
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"
#include "io/safetensors.h"
#include "qstore/dtype.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto input = std::as_bytes(std::span(data, size));
  const qstore::fuzz::MemorySource file(input);
  const auto header = qstore::io::ReadSafetensorsHeader(file);
  if (!header.ok()) {
    FUZZ_CHECK(!header.status().message().empty());
    return 0;
  }
  uint64_t at = header->data_begin;
  FUZZ_CHECK(at >= 8);
  for (const auto& tensor : header->tensors) {
    FUZZ_CHECK(tensor.begin == at);
    FUZZ_CHECK(tensor.end >= tensor.begin);
    uint64_t bits = qstore::DTypeBits(tensor.dtype);
    for (const uint64_t dim : tensor.shape) bits *= dim;
    FUZZ_CHECK(bits == (tensor.end - tensor.begin) * 8);
    at = tensor.end;
  }
  FUZZ_CHECK(at == input.size());
  return 0;
}
