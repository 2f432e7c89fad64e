// SPDX-License-Identifier: Apache-2.0
// An index that is accepted is whole: written again, it reads as the same index, byte by byte but
// for sections that a reader skips. The input is the offset at which payloads end, 8 bytes, and the
// index before it is compressed.
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/hash.h"
#include "codec/general.h"
#include "format/index.h"
#include "format/layout.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"

namespace {

using qstore::format::Footer;
using qstore::format::Header;
using qstore::format::Index;

// The footer as a reader would take it from a file of that size.
qstore::Result<Footer> Reread(const Footer& footer) {
  std::vector<std::byte> bytes;
  footer.EncodeTo(&bytes);
  return Footer::DecodeFrom(bytes, footer.archive_size);
}

// The sections that a reader must know; they come first.
std::span<const std::byte> Known(std::span<const std::byte> index) {
  qstore::base::ByteReader sections(index);
  while (sections.remaining() > 0) {
    const size_t begin = sections.position();
    if (sections.Fixed<uint8_t>() >= qstore::kFirstSkippableSection) return index.first(begin);
    sections.Bytes(sections.Varint());
  }
  return index;
}

void CheckWrittenAgain(const Index& index, uint64_t index_offset) {
  Footer footer;
  footer.index_offset = index_offset;
  const auto stored = EncodeIndex(index, &footer);
  FUZZ_CHECK(stored.ok());
  footer.archive_size = index_offset + stored->size() + Footer::kEncodedSize;
  const auto reread = Reread(footer);
  FUZZ_CHECK(reread.ok());
  const auto again = DecodeIndex(*stored, *reread);
  FUZZ_CHECK(again.ok());
  FUZZ_CHECK(std::ranges::equal(again->storage.bytes(), Known(index.storage.bytes())));
  FUZZ_CHECK(again->chunks.size() == index.chunks.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static qstore::codec::Zstd zstd;
  qstore::fuzz::FuzzInput in(std::as_bytes(std::span(data, size)));
  Footer footer;
  footer.index_offset = Header::kEncodedSize + in.Number<uint64_t>() % (uint64_t{1} << 40);
  const auto raw = in.Rest();
  std::vector<std::byte> stored;
  FUZZ_CHECK(zstd.Compress(raw, 1, &stored).ok());
  footer.index_stored_size = stored.size();
  footer.index_raw_size = raw.size();
  footer.index_checksum = qstore::base::Hash64(stored);
  footer.archive_size = footer.index_offset + stored.size() + Footer::kEncodedSize;
  const auto reread = Reread(footer);
  FUZZ_CHECK(reread.ok());
  const auto index = DecodeIndex(stored, *reread);
  if (index.ok()) {
    CheckWrittenAgain(*index, footer.index_offset);
  } else {
    FUZZ_CHECK(!index.status().message().empty());
  }
  return 0;
}
