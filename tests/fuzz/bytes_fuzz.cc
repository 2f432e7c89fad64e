// SPDX-License-Identifier: Apache-2.0
// Whatever ByteReader reads, ByteWriter writes so that it reads the same again.
#include <vector>

#include "base/bytes.h"
#include "fuzz/fuzz.h"

using qstore::base::ByteReader;
using qstore::base::ByteWriter;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ByteReader reader(std::as_bytes(std::span(data, size)));
  while (reader.ok() && reader.remaining() > 0) {
    const size_t before = reader.position();
    const uint64_t number = reader.Varint();
    const std::string_view text = reader.String();
    const auto word = reader.Fixed<uint32_t>();
    if (!reader.ok()) break;
    FUZZ_CHECK(reader.position() > before);

    std::vector<std::byte> written;
    ByteWriter writer(&written);
    writer.Varint(number);
    writer.String(text);
    writer.Fixed(word);
    FUZZ_CHECK(written.size() <= reader.position() - before);
    ByteReader again(written);
    FUZZ_CHECK(again.Varint() == number && again.String() == text);
    FUZZ_CHECK(again.Fixed<uint32_t>() == word && again.ok() && again.remaining() == 0);
  }
  return 0;
}
