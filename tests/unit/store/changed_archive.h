// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "format/layout.h"
#include "qstore/change.h"
#include "qstore/verify.h"
#include "store/archive_file.h"
#include "unit/store/model_files.h"

namespace qstore::testing {

/// Models in folders high, low and other, and an archive of some of them that is changed.
class ChangedArchive : public ::testing::Test {
 protected:
  ChangedArchive() {
    WritePair(dir_ / "high", dir_ / "low");
    // Nothing of it follows from the pair.
    WriteSafetensors(dir_ / "other/model.safetensors",
                     {{"x.weight", DType::kBF16, {500, 1000}, RandomBytes(1'000'000, 7)},
                      {"y.weight", DType::kBF16, {10, 10}, RandomBytes(200, 8)}});
    WriteFile(dir_ / "other/empty", "");
  }

  fs::path archive() const { return dir_ / "m.qstore"; }
  void PackAll(const std::vector<const char*>& names, PackOptions options = {}) {
    PackAndOpen(Sources(names), archive(), std::move(options));
  }
  std::vector<VariantSource> Sources(const std::vector<const char*>& names) const {
    std::vector<VariantSource> sources;
    for (const char* name : names) sources.push_back({name, dir_ / name});
    return sources;
  }
  Result<AddReport> TryAdd(const std::vector<const char*>& names, AddOptions options = {}) {
    options.sync = false;
    return Add(archive(), Sources(names), options);
  }
  AddReport AddAll(const std::vector<const char*>& names, AddOptions options = {}) {
    const auto report = TryAdd(names, std::move(options));
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : AddReport();
  }
  Status TryDrop(const std::vector<std::string>& names) {
    return Drop(archive(), names, {false}).status();
  }
  DropReport DropAll(const std::vector<std::string>& names) {
    const auto report = Drop(archive(), names, {false});
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : DropReport();
  }
  CompactReport CompactTo(const fs::path& output) {
    CompactOptions options;
    options.output = output;
    options.sync = false;
    const auto report = Compact(archive(), options);
    EXPECT_TRUE(report.ok()) << report.status().ToString();
    return report.ok() ? *report : CompactReport();
  }
  Archive Opened() const {
    auto opened = Archive::Open(archive());
    EXPECT_TRUE(opened.ok()) << opened.status().ToString();
    if (!opened.ok()) std::abort();
    return std::move(opened).value();
  }
  // It has these variants and no others, intact, with every file as it was; the sizes add up.
  void ExpectHas(const Archive& archive, const std::vector<const char*>& names) const {
    const auto verified = Verify(archive, Sources(names));
    EXPECT_TRUE(verified.ok()) << verified.status().ToString();
    ASSERT_EQ(archive.variant_count(), names.size());
    uint64_t bytes = format::Header::kEncodedSize + format::Footer::kEncodedSize +
                     archive.impl().footer().index_stored_size + archive.dead_bytes();
    for (size_t v = 0; v < names.size(); ++v) {
      EXPECT_EQ(archive.variant(v).name, names[v]);
      EXPECT_EQ(Unpacked(archive, names[v]), ReadTree(dir_ / names[v])) << names[v];
      const auto sizes = archive.SizesOf(v);
      ASSERT_TRUE(sizes.ok());
      bytes += sizes->own_bytes;
    }
    EXPECT_EQ(bytes, archive.stored_bytes());
  }
  // Of a tensor of that variant: whether it follows from others.
  static bool HasScheme(const Archive& archive, size_t variant, std::string_view tensor) {
    const auto codings = archive.CodingsOf(variant);
    EXPECT_TRUE(codings.ok());
    const size_t row = *archive.FindTensor(variant, tensor) - archive.variant(variant).first_tensor;
    return (*codings)[row].scheme != "none";
  }

  TempDir dir_;
};

}  // namespace qstore::testing
