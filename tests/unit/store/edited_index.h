// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "format/index.h"
#include "format/layout.h"
#include "unit/test_files.h"

namespace qstore::testing {

/// The archive with the tables that `edit` leaves, under checksums that are right.
inline std::string WithIndex(const std::string& archive,
                             const std::function<void(format::Index*)>& edit) {
  const auto bytes = Bytes(archive);
  auto footer = format::Footer::DecodeFrom(bytes.last(format::Footer::kEncodedSize), bytes.size());
  EXPECT_TRUE(footer.ok());
  auto index =
      format::DecodeIndex(bytes.subspan(footer->index_offset, footer->index_stored_size), *footer);
  EXPECT_TRUE(index.ok()) << index.status().ToString();
  edit(&*index);
  auto stored = format::EncodeIndex(*index, &*footer);
  EXPECT_TRUE(stored.ok());
  footer->archive_size = footer->index_offset + stored->size() + format::Footer::kEncodedSize;
  footer->EncodeTo(&*stored);
  std::string edited = archive.substr(0, footer->index_offset);
  edited.append(reinterpret_cast<const char*>(stored->data()), stored->size());
  return edited;
}

/// Row of the tensor table of a tensor, by variant and name.
inline size_t RowOf(const format::Index& index, std::string_view variant, std::string_view name) {
  for (const format::VariantEntry& entry : index.variants) {
    if (entry.name != variant) continue;
    for (uint32_t f = entry.files.begin; f < entry.files.end; ++f) {
      for (uint32_t t = index.files[f].tensors.begin; t < index.files[f].tensors.end; ++t) {
        if (index.tensors[t].name == name) return t;
      }
    }
  }
  ADD_FAILURE() << "no tensor " << name << " of " << variant;
  return 0;
}

}  // namespace qstore::testing
