// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/disk_ids.h"
#include "qstore/status.h"

namespace qstore::format {

/// The first bytes of every archive. A byte above 127, CR LF, ^Z and LF show transfers that dropped
/// the eighth bit, translated line ends or stopped at an end-of-file mark.
inline constexpr std::array<uint8_t, 8> kHeaderMagic = {0xF1, 'Q',  'S',  'T',
                                                        0x0D, 0x0A, 0x1A, 0x0A};
inline constexpr std::array<uint8_t, 8> kFooterMagic = {0xF1, 'q', 's', 't', 'e', 'n', 'd', 0x0A};

/// Features that a reader must know to read the archive; none are defined in version 1.
inline constexpr uint32_t kKnownFeatureFlags = 0;

/// Where a generation of an archive ends. On disk: the fields in this order as u64, checksum u64;
/// all zeros for an empty one.
struct Root {
  static constexpr size_t kEncodedSize = 24;
  uint64_t generation = 0;  ///< 0: empty.
  uint64_t length = 0;      ///< From the first byte of the archive to the last one of the footer.

  void EncodeTo(std::vector<std::byte>* out) const;
};

/// On disk at offset 0: magic, format_version u16, reserved u16, feature_flags u32, checksum u64,
/// which holds for every version; then two roots.
struct Header {
  static constexpr size_t kEncodedSize = 72;
  uint16_t format_version = kFormatVersion;
  uint32_t feature_flags = 0;
  std::array<Root, 2> roots;  ///< Both empty in an archive that was written at once.

  void EncodeTo(std::vector<std::byte>* out) const;
  /// A root whose checksum is wrong counts as empty where the other one is right: its write was cut
  /// short. REQUIRES: kEncodedSize bytes. Errors: kCorrupt, kUnsupportedVersion,
  /// kUnsupportedFeature.
  static Result<Header> DecodeFrom(std::span<const std::byte> bytes);

  bool has_root() const { return roots[0].generation != 0 || roots[1].generation != 0; }
  /// Bytes of the file that are the archive: up to the length of the later root, all of them where
  /// both are empty. Errors: kCorrupt, when the file has fewer.
  Result<uint64_t> ArchiveSize(uint64_t file_size) const;
};

/// On disk in the last bytes: the fields in this order as u64, magic, checksum u64.
struct Footer {
  static constexpr size_t kEncodedSize = 56;
  uint64_t index_offset = 0;
  uint64_t index_stored_size = 0;
  uint64_t index_raw_size = 0;
  uint64_t index_checksum = 0;  ///< XXH3-64 of the stored index.
  uint64_t archive_size = 0;    ///< Header to footer.

  void EncodeTo(std::vector<std::byte>* out) const;
  /// Also checks that the index lies between header and footer and is not larger than limits.h
  /// allows. REQUIRES: kEncodedSize bytes. Errors: kCorrupt, kLimit.
  static Result<Footer> DecodeFrom(std::span<const std::byte> bytes, uint64_t actual_size);
};

}  // namespace qstore::format
