// SPDX-License-Identifier: Apache-2.0
#include "format/layout.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/status_macros.h"
#include "format/limits.h"

namespace qstore::format {
namespace {

using Magic = std::array<uint8_t, 8>;

bool HasMagic(std::span<const std::byte> bytes, const Magic& magic) {
  return std::equal(magic.begin(), magic.end(), bytes.begin(),
                    [](uint8_t m, std::byte b) { return m == static_cast<uint8_t>(b); });
}

void AppendChecksum(std::vector<std::byte>* out, size_t begin) {
  const uint64_t checksum = base::Hash64(std::span(*out).subspan(begin));
  base::ByteWriter(out).Fixed(checksum);
}

bool ChecksumHolds(std::span<const std::byte> bytes) {
  const auto content = bytes.first(bytes.size() - sizeof(uint64_t));
  return base::Hash64(content) == base::LoadLe<uint64_t>(bytes.data() + content.size());
}

}  // namespace

void Header::EncodeTo(std::vector<std::byte>* out) const {
  const size_t begin = out->size();
  base::ByteWriter writer(out);
  writer.Bytes(std::as_bytes(std::span(kHeaderMagic)));
  writer.Fixed<uint16_t>(format_version);
  writer.Fixed<uint16_t>(0);
  writer.Fixed<uint32_t>(feature_flags);
  AppendChecksum(out, begin);
}

Result<Header> Header::DecodeFrom(std::span<const std::byte> bytes) {
  if (!HasMagic(bytes, kHeaderMagic)) return Corrupt("not a qstore archive (bad magic number)");
  if (!ChecksumHolds(bytes)) return Corrupt("checksum of the header differs");
  base::ByteReader reader(bytes.subspan(kHeaderMagic.size()));
  Header header;
  header.format_version = reader.Fixed<uint16_t>();
  const auto reserved = reader.Fixed<uint16_t>();
  header.feature_flags = reader.Fixed<uint32_t>();
  if (header.format_version == 0) return Corrupt("format version 0 does not exist");
  if (header.format_version > kFormatVersion) {
    return Status(ErrorCode::kUnsupportedVersion,
                  "format version " + std::to_string(header.format_version) + " is later than " +
                      std::to_string(kFormatVersion) + ", the last one known here");
  }
  if (reserved != 0 || (header.feature_flags & ~kKnownFeatureFlags) != 0) {
    return Status(ErrorCode::kUnsupportedFeature, "the header asks for features unknown here");
  }
  return header;
}

void Footer::EncodeTo(std::vector<std::byte>* out) const {
  const size_t begin = out->size();
  base::ByteWriter writer(out);
  for (uint64_t field :
       {index_offset, index_stored_size, index_raw_size, index_checksum, file_size}) {
    writer.Fixed(field);
  }
  writer.Bytes(std::as_bytes(std::span(kFooterMagic)));
  AppendChecksum(out, begin);
}

Result<Footer> Footer::DecodeFrom(std::span<const std::byte> bytes, uint64_t actual_file_size) {
  if (!HasMagic(bytes.subspan(5 * sizeof(uint64_t)), kFooterMagic)) {
    return Corrupt("the end is missing: cut short, or bytes were added");
  }
  if (!ChecksumHolds(bytes)) return Corrupt("checksum of the footer differs");
  base::ByteReader reader(bytes);
  Footer footer;
  for (uint64_t* field : {&footer.index_offset, &footer.index_stored_size, &footer.index_raw_size,
                          &footer.index_checksum, &footer.file_size}) {
    *field = reader.Fixed<uint64_t>();
  }
  if (footer.file_size != actual_file_size) {
    return Corrupt("the archive says it has " + std::to_string(footer.file_size) +
                   " bytes, the file has " + std::to_string(actual_file_size));
  }
  const uint64_t room = actual_file_size - Header::kEncodedSize - kEncodedSize;
  if (footer.index_stored_size > room ||
      footer.index_offset != Header::kEncodedSize + room - footer.index_stored_size) {
    return Corrupt("the index does not end where the footer begins");
  }
  if (footer.index_raw_size > kMaxIndexBytes) {
    return LimitExceeded("an index of " + std::to_string(footer.index_raw_size) + " bytes");
  }
  if (footer.index_stored_size > kMaxStoredIndexBytes) {
    return LimitExceeded("an index stored in " + std::to_string(footer.index_stored_size) +
                         " bytes");
  }
  if (footer.index_raw_size / kMaxIndexExpansion > footer.index_stored_size) {
    return Corrupt("the index cannot expand to the size given");
  }
  return footer;
}

}  // namespace qstore::format
