// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/listed.h"

#include <cstring>
#include <string>

namespace qstore::scheme {

uint64_t EncodeListed(std::span<const std::byte> predicted, std::span<const std::byte> raw,
                      uint64_t elem_bytes, std::vector<std::byte>* out) {
  if (std::memcmp(predicted.data(), raw.data(), raw.size()) == 0) return 0;
  std::vector<uint64_t> listed;
  for (uint64_t i = 0; i < raw.size() / elem_bytes; ++i) {
    if (std::memcmp(&predicted[i * elem_bytes], &raw[i * elem_bytes], elem_bytes) != 0) {
      listed.push_back(i);
    }
  }
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
