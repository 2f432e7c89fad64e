// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "container/gguf/gguf.h"
#include "container/registry.h"
#include "unit/container/gguf_file.h"
#include "unit/test_files.h"

namespace qstore::testing {

using container::Gguf;
using container::Layout;

inline constexpr uint32_t kF32 = 0;
inline constexpr uint32_t kQ8_0 = 8;

/// A small file with some of everything.
inline GgufFile Sample() {
  GgufFile file;
  file.Text("general.architecture", "llama").U32("llama.block_count", 2);
  file.Texts("tokenizer.ggml.tokens", {"a", "", "bc"});
  file.Add({"norm", kF32, {3}, std::string(12, 'n')});
  file.Add({"b.weight", kQ8_0, {64, 2}, std::string(136, 'b')});
  file.Add({"a.weight", kF32, {2, 2}, std::string(16, 'a')});
  return file;
}

inline Result<Layout> Parsed(const std::string& bytes) { return Gguf().Parse(MemorySource(bytes)); }

/// Parts tile the file; tensors have parts of their own, and a head that is read alone says the
// same.
inline void ExpectConsistent(const std::string& bytes, const Layout& layout) {
  uint64_t at = 0;
  for (const container::Part& part : layout.parts) {
    EXPECT_EQ(part.begin, at);
    EXPECT_GE(part.end, part.begin);
    at = part.end;
  }
  EXPECT_EQ(at, bytes.size());
  size_t head_parts = layout.parts.size();
  for (const container::Tensor& tensor : layout.tensors) {
    head_parts = std::min<size_t>(head_parts, tensor.part);
  }
  ASSERT_GT(head_parts, 0u);
  const uint64_t head_end = layout.parts[head_parts - 1].end;
  size_t found = 0;
  const Status read =
      Gguf().ReadHead(Bytes(bytes).first(head_end), 255, [&](const container::Entry& entry) {
        for (const container::Tensor& tensor : layout.tensors) {
          if (tensor.name != entry.name) continue;
          ++found;
          EXPECT_EQ(entry.dtype, tensor.dtype);
          EXPECT_TRUE(std::ranges::equal(entry.shape, tensor.shape));
          EXPECT_EQ(head_end + entry.begin, layout.parts[tensor.part].begin);
          EXPECT_EQ(head_end + entry.end, layout.parts[tensor.part].end);
        }
        return Status();
      });
  EXPECT_TRUE(read.ok()) << read.ToString();
  EXPECT_EQ(found, layout.tensors.size());
}

inline Layout Taken(const GgufFile& file) {
  const std::string bytes = file.Bytes();
  auto layout = Parsed(bytes);
  EXPECT_TRUE(layout.ok()) << layout.status().ToString();
  if (!layout.ok()) return {};
  ExpectConsistent(bytes, *layout);
  return std::move(*layout);
}

/// `rule` is in the message.
inline void ExpectRefused(const std::string& bytes, const std::string& rule) {
  const auto layout = Parsed(bytes);
  ASSERT_FALSE(layout.ok()) << rule;
  EXPECT_EQ(layout.status().code(), ErrorCode::kCorrupt) << layout.status().ToString();
  EXPECT_NE(layout.status().message().find(rule), std::string::npos)
      << rule << ": " << layout.status().ToString();
  // Such a file is bytes without known structure.
  const auto opened = container::OpenContainer("m.gguf", MemorySource(bytes));
  ASSERT_TRUE(opened.ok());
  EXPECT_EQ(opened->container, nullptr);
}
inline void ExpectRefused(const GgufFile& file, const std::string& rule) {
  ExpectRefused(file.Bytes(), rule);
}

}  // namespace qstore::testing
