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

// Of the header, what holds for every version.
constexpr size_t kIdentityBytes = 24;

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

// False when it is neither empty nor right; then it is left empty.
bool DecodeRoot(std::span<const std::byte> bytes, Root* root) {
  const bool is_empty =
      std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
  if (is_empty) return true;
  base::ByteReader reader(bytes);
  const Root read{reader.Fixed<uint64_t>(), reader.Fixed<uint64_t>()};
  if (!ChecksumHolds(bytes) || read.generation == 0) return false;
  *root = read;
  return true;
}

}  // namespace

void Root::EncodeTo(std::vector<std::byte>* out) const {
  const size_t begin = out->size();
  base::ByteWriter writer(out);
  writer.Fixed(generation);
  writer.Fixed(length);
  if (generation == 0) {
    writer.Fixed<uint64_t>(0);
  } else {
    AppendChecksum(out, begin);
  }
}

void Header::EncodeTo(std::vector<std::byte>* out) const {
  const size_t begin = out->size();
  base::ByteWriter writer(out);
  writer.Bytes(std::as_bytes(std::span(kHeaderMagic)));
  writer.Fixed<uint16_t>(format_version);
  writer.Fixed<uint16_t>(0);
  writer.Fixed<uint32_t>(feature_flags);
  AppendChecksum(out, begin);
  for (const Root& root : roots) root.EncodeTo(out);
}

Result<Header> Header::DecodeFrom(std::span<const std::byte> bytes) {
  const auto identity = bytes.first(kIdentityBytes);
  if (!HasMagic(identity, kHeaderMagic)) return Corrupt("not a qstore archive (bad magic number)");
  if (!ChecksumHolds(identity)) return Corrupt("checksum of the header differs");
  base::ByteReader reader(identity.subspan(kHeaderMagic.size()));
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
  bool is_torn = false;
  for (size_t r = 0; r < header.roots.size(); ++r) {
    const auto root = bytes.subspan(kIdentityBytes + r * Root::kEncodedSize, Root::kEncodedSize);
    is_torn |= !DecodeRoot(root, &header.roots[r]);
  }
  if (is_torn && !header.has_root()) return Corrupt("no root of the header is right");
  return header;
}

Result<uint64_t> Header::ArchiveSize(uint64_t file_size) const {
  if (!has_root()) return file_size;
  const Root& root = roots[0].generation > roots[1].generation ? roots[0] : roots[1];
  if (root.length <= file_size) return root.length;
  return Corrupt("generation " + std::to_string(root.generation) + " of the archive has " +
                 std::to_string(root.length) + " bytes, the file has " + std::to_string(file_size));
}

void Footer::EncodeTo(std::vector<std::byte>* out) const {
  const size_t begin = out->size();
  base::ByteWriter writer(out);
  for (uint64_t field :
       {index_offset, index_stored_size, index_raw_size, index_checksum, archive_size}) {
    writer.Fixed(field);
  }
  writer.Bytes(std::as_bytes(std::span(kFooterMagic)));
  AppendChecksum(out, begin);
}

Result<Footer> Footer::DecodeFrom(std::span<const std::byte> bytes, uint64_t actual_size) {
  if (!HasMagic(bytes.subspan(5 * sizeof(uint64_t)), kFooterMagic)) {
    return Corrupt("the end is missing: cut short, or bytes were added");
  }
  if (!ChecksumHolds(bytes)) return Corrupt("checksum of the footer differs");
  base::ByteReader reader(bytes);
  Footer footer;
  for (uint64_t* field : {&footer.index_offset, &footer.index_stored_size, &footer.index_raw_size,
                          &footer.index_checksum, &footer.archive_size}) {
    *field = reader.Fixed<uint64_t>();
  }
  if (footer.archive_size != actual_size) {
    return Corrupt("the archive says it has " + std::to_string(footer.archive_size) +
                   " bytes, there are " + std::to_string(actual_size));
  }
  const uint64_t room = actual_size - Header::kEncodedSize - kEncodedSize;
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
