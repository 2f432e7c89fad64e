// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/listed.h"

#include <cstring>
#include <string>

namespace qstore::scheme {
namespace {

// Places of the elements that differ. A comparison of so few bytes is one of two words, where the
// number of bytes is known to the compiler.
template <size_t kBytes>
std::vector<uint64_t> UnlikePlaces(const std::byte* predicted, const std::byte* raw,
                                   uint64_t count) {
  std::vector<uint64_t> places;
  for (uint64_t i = 0; i < count; ++i) {
    if (std::memcmp(predicted + i * kBytes, raw + i * kBytes, kBytes) != 0) places.push_back(i);
  }
  return places;
}

std::vector<uint64_t> UnlikePlaces(const std::byte* predicted, const std::byte* raw, uint64_t count,
                                   uint64_t elem_bytes) {
  if (elem_bytes == 1) return UnlikePlaces<1>(predicted, raw, count);
  if (elem_bytes == 2) return UnlikePlaces<2>(predicted, raw, count);
  if (elem_bytes == 4) return UnlikePlaces<4>(predicted, raw, count);
  std::vector<uint64_t> places;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t at = i * elem_bytes;
    if (std::memcmp(predicted + at, raw + at, elem_bytes) != 0) places.push_back(i);
  }
  return places;
}

}  // namespace

uint64_t EncodeListed(std::span<const std::byte> predicted, std::span<const std::byte> raw,
                      uint64_t elem_bytes, std::vector<std::byte>* out) {
  if (std::memcmp(predicted.data(), raw.data(), raw.size()) == 0) return 0;
  const std::vector<uint64_t> listed =
      UnlikePlaces(predicted.data(), raw.data(), raw.size() / elem_bytes, elem_bytes);
  base::ByteWriter writer(out);
  writer.Varint(listed.size());
  uint64_t next = 0;
  for (const uint64_t i : listed) {
    writer.Varint(i - next);
    writer.Bytes(raw.subspan(i * elem_bytes, elem_bytes));
    next = i + 1;
  }
  return listed.size();
}

Status DecodeListed(base::ByteReader* payload, uint64_t elem_bytes, std::string_view rule,
                    std::span<std::byte> raw) {
  if (payload->remaining() == 0) return {};
  const uint64_t count = raw.size() / elem_bytes;
  const uint64_t listed = payload->Varint();
  uint64_t next = 0;
  for (uint64_t i = 0; i < listed; ++i, ++next) {
    const uint64_t skip = payload->Varint();
    const auto elem = payload->Bytes(elem_bytes);
    if (!payload->ok() || next >= count || skip >= count - next) {
      return Corrupt(std::string(rule) + ": listed element out of range");
    }
    next += skip;
    std::memcpy(&raw[next * elem_bytes], elem.data(), elem_bytes);
  }
  return payload->ok() ? Status() : Corrupt(std::string(rule) + ": list of elements missing");
}

}  // namespace qstore::scheme
