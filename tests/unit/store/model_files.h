// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"
#include "qstore/archive.h"
#include "qstore/pack.h"
#include "qstore/unpack.h"
#include "registry/weights.h"
#include "unit/test_files.h"

namespace qstore::testing {

namespace fs = std::filesystem;

struct TestTensor {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
  std::vector<std::byte> content;
};

inline void WriteSafetensors(const fs::path& path, const std::vector<TestTensor>& tensors) {
  std::vector<io::SafetensorsTensor> entries;
  for (const TestTensor& tensor : tensors)
    entries.push_back({tensor.name, tensor.dtype, tensor.shape});
  auto layout = io::LayOutSafetensors(entries, {{"format", "pt"}});
  ASSERT_TRUE(layout.ok()) << layout.status().ToString();
  std::string file = layout->prefix;
  file.resize(layout->file_size);
  for (const io::SafetensorsTensor& placed : layout->header.tensors) {
    for (const TestTensor& tensor : tensors) {
      if (tensor.name != placed.name) continue;
      ASSERT_EQ(tensor.content.size(), placed.end - placed.begin) << tensor.name;
      std::copy_n(reinterpret_cast<const char*>(tensor.content.data()), tensor.content.size(),
                  file.data() + placed.begin);
    }
  }
  WriteFile(path, file);
}

inline std::vector<std::byte> RandomBytes(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(size);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// Two matrices, a norm and an embedding in `high`/model.safetensors, their LLM.int8() twins in
/// `low`/model.safetensors, which has the norm and the embedding as they are.
inline void WritePair(const fs::path& high, const fs::path& low, uint64_t rows = 300,
                      uint64_t columns = 1000, DType dtype = DType::kBF16) {
  const WeightPair a = MakePair(dtype, rows, columns, 1);
  const WeightPair b = MakePair(dtype, rows, columns, 2);
  const WeightPair embedding = MakePair(dtype, 50, columns, 3);
  const TestTensor norm{"norm.weight", dtype, {columns}, MakePair(dtype, 1, columns, 4).high};
  const TestTensor embed{"embed.weight", dtype, {50, columns}, embedding.high};
  WriteSafetensors(high / "model.safetensors", {{"a.weight", dtype, {rows, columns}, a.high},
                                                {"b.weight", dtype, {rows, columns}, b.high},
                                                norm,
                                                embed});
  WriteSafetensors(low / "model.safetensors", {{"a.weight", DType::kI8, {rows, columns}, a.q},
                                               {"a.SCB", DType::kF32, {rows}, a.scales},
                                               {"b.weight", DType::kI8, {rows, columns}, b.q},
                                               {"b.SCB", DType::kF32, {rows}, b.scales},
                                               norm,
                                               embed});
  for (const fs::path& root : {high, low}) {
    WriteFile(root / "config.json", "{\"of\": \"" + root.filename().string() + "\"}");
    WriteFile(root / "tokenizer/vocab.txt", std::string(5000, 'v'));
    WriteFile(root / "empty", "");
  }
}

/// All regular files below a directory, by relative path.
inline std::map<std::string, std::string> ReadTree(const fs::path& root) {
  std::map<std::string, std::string> files;
  if (!fs::exists(root)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), root).generic_string()] = ReadFile(entry.path());
    }
  }
  return files;
}

/// Packs with options fit for tests and opens the archive.
inline Archive PackAndOpen(const std::vector<VariantSource>& variants, const fs::path& output,
                           PackOptions options = {}) {
  options.sync = false;
  options.overwrite = true;
  const auto report = Pack(variants, output, options);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  auto archive = Archive::Open(output);
  if (!archive.ok()) {
    ADD_FAILURE() << archive.status().ToString();
    std::abort();
  }
  return std::move(archive).value();
}

/// What a variant unpacks to.
inline std::map<std::string, std::string> Unpacked(const Archive& archive,
                                                   std::string_view variant) {
  const TempDir dir;
  UnpackOptions options;
  options.sync = false;
  const auto report = Unpack(archive, variant, dir / "out", options);
  EXPECT_TRUE(report.ok()) << report.status().ToString();
  return ReadTree(dir / "out");
}

}  // namespace qstore::testing
