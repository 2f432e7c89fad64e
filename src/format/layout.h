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

/// On disk at offset 0: magic, format_version u16, reserved u16, feature_flags u32, checksum u64.
/// This layout holds for every version.
struct Header {
  static constexpr size_t kEncodedSize = 24;
  uint16_t format_version = kFormatVersion;
  uint32_t feature_flags = 0;

  void EncodeTo(std::vector<std::byte>* out) const;
  /// REQUIRES: kEncodedSize bytes. Errors: kCorrupt, kUnsupportedVersion, kUnsupportedFeature.
  static Result<Header> DecodeFrom(std::span<const std::byte> bytes);
};

/// On disk in the last bytes: the fields in this order as u64, magic, checksum u64.
struct Footer {
  static constexpr size_t kEncodedSize = 56;
  uint64_t index_offset = 0;
  uint64_t index_stored_size = 0;
  uint64_t index_raw_size = 0;
  uint64_t index_checksum = 0;  ///< XXH3-64 of the stored index.
  uint64_t file_size = 0;       ///< Header to footer.

  void EncodeTo(std::vector<std::byte>* out) const;
  /// Also checks that the index lies between header and footer and is not larger than limits.h
  /// allows. REQUIRES: kEncodedSize bytes. Errors: kCorrupt, kLimit.
  static Result<Footer> DecodeFrom(std::span<const std::byte> bytes, uint64_t actual_file_size);
};

}  // namespace qstore::format
