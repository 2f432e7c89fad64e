// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/disk_ids.h"
#include "base/hash.h"
#include "codec/general.h"
#include "format/layout.h"
#include "fuzz/fuzz.h"
#include "fuzz/fuzz_input.h"

namespace qstore::fuzz {

/// What is made of an input's payloads when the index speaks of more or fewer bytes.
inline constexpr uint64_t kMaxPayloads = uint64_t{1} << 20;

/// Makes the payloads as long as the index says, and the checksums of chunks right; leaves an
/// index alone whose chunk table cannot be found.
inline void SealChunks(std::vector<std::byte>* index, std::vector<std::byte>* payloads) {
  base::ByteReader sections(*index);
  while (sections.remaining() > 0) {
    const auto kind = sections.Fixed<uint8_t>();
    const auto content = sections.Bytes(sections.Varint());
    if (!sections.ok()) return;
    if (kind != static_cast<uint8_t>(IndexSection::kChunks)) continue;
    base::ByteReader table(content);
    const uint64_t count = table.Varint();
    table.Bytes(count);
    std::vector<uint64_t> ends;
    for (uint64_t end = 0; table.ok() && ends.size() < count; ends.push_back(end)) {
      end += std::min(table.Varint(), kMaxPayloads + 1);
    }
    if (!table.ok() || table.remaining() / sizeof(uint64_t) < count) return;
    const uint64_t total = count == 0 ? 0 : ends.back();
    if (total > kMaxPayloads) return;
    payloads->resize(total);
    std::byte* checksum =
        index->data() + (content.data() + table.position() - std::as_const(*index).data());
    uint64_t begin = 0;
    for (const uint64_t end : ends) {
      base::StoreLe(checksum, base::Hash64(std::span(*payloads).subspan(begin, end - begin)));
      checksum += sizeof(uint64_t);
      begin = end;
    }
    return;
  }
}

/// Makes the checksums of header, index and footer right, as far as the footer finds the index.
inline void SealEnds(std::vector<std::byte>* archive) {
  const auto bytes = std::span(*archive);
  const auto header = bytes.first(format::Header::kEncodedSize);
  const auto footer = bytes.last(format::Footer::kEncodedSize);
  const auto seal = [](std::span<const std::byte> content, std::byte* at) {
    base::StoreLe(at, base::Hash64(content));
  };
  seal(header.first(16), &header[16]);
  const auto offset = base::LoadLe<uint64_t>(&footer[0]);
  const auto size = base::LoadLe<uint64_t>(&footer[8]);
  if (offset <= bytes.size() && size <= bytes.size() - offset) {
    seal(bytes.subspan(offset, size), &footer[24]);
  }
  seal(footer.first(48), &footer[48]);
}

/// The archive that an input stands for. In front are the number of damages to the finished
/// archive and for each its place and value, then whether checksums are made right afterwards, the
/// length of the payloads, the payloads, and the index before it is compressed.
inline std::vector<std::byte> ArchiveOf(std::span<const std::byte> input) {
  struct Damage {
    uint32_t place;
    uint8_t value;
  };
  FuzzInput in(input);
  std::vector<Damage> damages(in.Below(4));
  for (Damage& damage : damages) damage = {in.Number<uint32_t>(), in.Number<uint8_t>()};
  const bool sealed = in.Number<uint8_t>() % 2 == 0;
  const auto payload_size = in.Number<uint32_t>();
  auto payloads = in.Bytes(std::min<size_t>(payload_size, in.Rest().size()));
  std::vector<std::byte> index(in.Rest().begin(), in.Rest().end());
  SealChunks(&index, &payloads);

  static codec::Zstd zstd;
  std::vector<std::byte> archive;
  format::Header().EncodeTo(&archive);
  archive.insert(archive.end(), payloads.begin(), payloads.end());
  format::Footer footer;
  footer.index_offset = archive.size();
  FUZZ_CHECK(zstd.Compress(index, 1, &archive).ok());
  footer.index_stored_size = archive.size() - footer.index_offset;
  footer.index_raw_size = index.size();
  footer.archive_size = archive.size() + format::Footer::kEncodedSize;
  footer.EncodeTo(&archive);
  SealEnds(&archive);
  for (const Damage& damage : damages) {
    archive[damage.place % archive.size()] = static_cast<std::byte>(damage.value);
  }
  if (sealed) SealEnds(&archive);
  return archive;
}

}  // namespace qstore::fuzz
