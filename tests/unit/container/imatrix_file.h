// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "unit/container/gguf_file.h"

namespace qstore::testing {

/// Writes importance matrices of the older form, wrong ones too.
class ImatrixFile {
 public:
  ImatrixFile& Add(std::string_view name, int32_t calls, const std::vector<float>& values) {
    entries_.Put(static_cast<uint32_t>(name.size())).Raw(name).Put(calls);
    entries_.Put(static_cast<uint32_t>(values.size()));
    std::string bytes(values.size() * sizeof(float), '\0');
    if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
    entries_.Raw(bytes);
    ++count;
    return *this;
  }
  /// What follows the entries.
  ImatrixFile& End(int32_t chunks, std::string_view text) {
    tail = Fields().Put(chunks).Put(static_cast<uint32_t>(text.size())).Raw(text).bytes();
    return *this;
  }
  std::string Bytes() const { return Fields().Put(count).Raw(entries_.bytes()).Raw(tail).bytes(); }

  uint32_t count = 0;
  std::string tail;

 private:
  Fields entries_;
};

}  // namespace qstore::testing
