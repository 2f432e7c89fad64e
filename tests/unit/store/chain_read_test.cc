// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <new>

#include "qstore/read_queue.h"
#include "registry/gptq.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Bytes = std::vector<std::byte>;

constexpr uint64_t kInputs = 1024;
constexpr uint64_t kOutputs = 1152;
constexpr size_t kRowBytes = 2 * kInputs;
constexpr unsigned kThreads[] = {1, 2, 8};

// Memory of which one read fails: the first one with the byte.
class FailingSource final : public ByteSource {
 public:
  FailingSource(std::string bytes, bool throws) : bytes_(std::move(bytes)), throws_(throws) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset <= failing && failing - offset < out.size()) {
      if (throws_) throw std::bad_alloc();
      return IoError("this read fails");
    }
    std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  std::atomic<uint64_t> failing{UINT64_MAX};

 private:
  std::string bytes_;
  bool throws_;
};

// Two layers in 16 bits, in 8 and in 4, of several chunks each.
class ChainRead : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    std::map<std::string, std::vector<TestTensor>> variants;
    for (const std::string layer : {"a", "b"}) {
      const Bytes high = MakePair(DType::kBF16, kOutputs, kInputs, layer == "a" ? 1 : 2).high;
      std::vector<float> values(high.size() / 2);
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = PatternValue(DType::kBF16, high.data() + 2 * i);
      }
      variants["bf16"].push_back({layer + ".weight", DType::kBF16, {kOutputs, kInputs}, high});
      for (const unsigned bits : {4U, 8U}) {
        const GptqParts parts = MakeGptq(values, kInputs, kOutputs, bits, 4, bits);
        auto& tensors = variants["gptq" + std::to_string(bits)];
        tensors.push_back(
            {layer + ".qweight", DType::kI32, {kInputs * bits / 32, kOutputs}, parts.weights});
        tensors.push_back({layer + ".qzeros", DType::kI32, {4, kOutputs * bits / 32}, parts.zeros});
        tensors.push_back({layer + ".scales", DType::kF16, {4, kOutputs}, parts.scales});
        tensors.push_back({layer + ".g_idx", DType::kI32, {kInputs}, parts.groups});
      }
    }
    std::vector<VariantSource> sources;
    for (const auto& [name, tensors] : variants) {
      WriteSafetensors(*dir_ / name / "model.safetensors", tensors);
      sources.push_back({name, *dir_ / name});
      for (const TestTensor& tensor : tensors)
        originals_[name + "/" + tensor.name] = tensor.content;
    }
    PackOptions options;
    options.parents = {{"gptq8", "gptq4"}, {"bf16", "gptq8"}};
    PackAndOpen(sources, *dir_ / "by8.qstore", options);
    options.parents[1].parent = "gptq4";
    PackAndOpen(sources, *dir_ / "by4.qstore", options);
  }
  static void TearDownTestSuite() { dir_.reset(); }

  static Archive Open(const std::string& name) {
    auto archive = Archive::Open(*dir_ / name);
    EXPECT_TRUE(archive.ok()) << archive.status().ToString();
    return std::move(archive).value();
  }
  static std::string NameOf(const Archive& archive, size_t tensor) {
    for (size_t v = archive.variant_count(); v-- > 0;) {
      const VariantInfo info = archive.variant(v);
      if (tensor < info.first_tensor || tensor >= info.first_tensor + info.tensor_count) continue;
      return std::string(info.name) + "/" + std::string(archive.tensor(tensor).name);
    }
    return "";
  }
  static const Bytes& Original(const Archive& archive, size_t tensor) {
    return originals_.at(NameOf(archive, tensor));
  }
  static size_t Find(const Archive& archive, const char* variant, const char* tensor) {
    return *archive.FindTensor(*archive.FindVariant(variant), tensor);
  }
  static std::string ParentOf(const Archive& archive, const char* variant) {
    const size_t v = *archive.FindVariant(variant);
    const char* tensor = variant == std::string("bf16") ? "a.weight" : "a.qweight";
    const size_t at = *archive.FindTensor(v, tensor) - archive.variant(v).first_tensor;
    const std::vector<size_t> parents = (*archive.CodingsOf(v))[at].parents;
    return parents.empty() ? "" : NameOf(archive, parents[0]);
  }

  static std::unique_ptr<TempDir> dir_;
  static std::map<std::string, Bytes> originals_;
};

std::unique_ptr<TempDir> ChainRead::dir_;
std::map<std::string, Bytes> ChainRead::originals_;

TEST_F(ChainRead, LevelsAloneAndTogether) {
  for (const char* name : {"by8.qstore", "by4.qstore"}) {
    for (const unsigned chosen : {1u, 4u, 5u, 6u, 7u}) {
      for (const unsigned threads : kThreads) {
        const Archive archive = Open(name);
        std::vector<size_t> variants;
        for (size_t v = 0; v < 3; ++v) {
          if ((chosen >> v & 1) != 0) variants.push_back(v);
        }
        const auto loaded = archive.Load(variants, threads);
        ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
        for (size_t i = 0; i < loaded->size(); ++i) {
          EXPECT_TRUE(std::ranges::equal(loaded->content(i), Original(archive, loaded->tensor(i))))
              << name << " " << NameOf(archive, loaded->tensor(i));
        }
        // Nothing is read twice, parents that are asked for as well neither.
        const uint64_t needed = archive.SizesOf(variants.back())->load_bytes;
        if (variants.size() == 1) {
          EXPECT_EQ(archive.bytes_read(), needed);
        }
        EXPECT_LE(archive.bytes_read(), archive.stored_bytes()) << name << chosen;
      }
    }
  }
}

TEST_F(ChainRead, OneAfterTheOtherByAQueue) {
  for (const char* name : {"by8.qstore", "by4.qstore"}) {
    const Archive archive = Open(name);
    for (const unsigned threads : kThreads) {
      ReadQueue queue(archive, threads);
      std::vector<std::pair<uint64_t, Bytes>> begun;
      for (size_t t = 0; t < originals_.size(); ++t) {
        Bytes buffer(archive.tensor(t).byte_size);
        begun.emplace_back(*queue.Begin({t, buffer}), std::move(buffer));
      }
      for (size_t t = 0; t < begun.size(); ++t) {
        const Status status = queue.Finish(begun[t].first);
        ASSERT_TRUE(status.ok()) << status.ToString();
        EXPECT_TRUE(begun[t].second == Original(archive, t)) << name << " " << NameOf(archive, t);
      }
    }
  }
}

TEST_F(ChainRead, PiecesAndCopies) {
  for (const char* name : {"by8.qstore", "by4.qstore"}) {
    const Archive archive = Open(name);
    const size_t weight = Find(archive, "bf16", "a.weight");
    const size_t other = Find(archive, "bf16", "b.weight");
    const size_t q8 = Find(archive, "gptq8", "a.qweight");
    const size_t q4 = Find(archive, "gptq4", "a.qweight");
    for (const unsigned threads : kThreads) {
      Bytes rows(300 * kRowBytes), last(kRowBytes), whole(kOutputs * kRowBytes);
      Bytes words8(100 * 4 * kOutputs), words4(Original(archive, q4).size()), again(words4.size());
      const std::vector<ReadRequest> requests = {{weight, rows, 200, 500},
                                                 {other, last, kOutputs - 1, kOutputs},
                                                 {weight, whole},
                                                 {q8, words8, 50, 150},
                                                 {q4, words4},
                                                 {q4, again}};
      const Status status = archive.Read(requests, threads);
      ASSERT_TRUE(status.ok()) << status.ToString();
      const auto same = [&](const Bytes& out, size_t tensor, size_t begin) {
        return std::ranges::equal(out,
                                  std::span(Original(archive, tensor)).subspan(begin, out.size()));
      };
      EXPECT_TRUE(same(rows, weight, 200 * kRowBytes));
      EXPECT_TRUE(same(last, other, (kOutputs - 1) * kRowBytes));
      EXPECT_TRUE(same(whole, weight, 0));
      EXPECT_TRUE(same(words8, q8, 50 * 4 * kOutputs));
      EXPECT_TRUE(same(words4, q4, 0));
      EXPECT_TRUE(same(again, q4, 0));
    }
  }
}

TEST_F(ChainRead, DamageReachesTheCallerWhateverWaits) {
  const std::string good = ReadFile(*dir_ / "by8.qstore");
  unsigned found = 0;
  for (uint64_t at = 72; at < good.size() - 400; at += good.size() / 20) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    auto archive = Archive::Open(std::make_shared<MemorySource>(bad), "bad");
    if (!archive.ok()) continue;  // In the index.
    Bytes out(kOutputs * kRowBytes);
    for (const unsigned threads : kThreads) {
      const size_t t = Find(*archive, "bf16", at % 2 == 0 ? "a.weight" : "b.weight");
      const Status status = archive->ReadTensor(t, out, threads);
      if (status.ok()) {
        EXPECT_TRUE(out == Original(*archive, t));
        continue;
      }
      ++found;
      EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
      EXPECT_NE(status.message().find("checksum"), std::string::npos) << status.message();
    }
  }
  EXPECT_GT(found, 10u);
}

TEST_F(ChainRead, FailedReadsReachTheCallerWhateverWaits) {
  const std::string bytes = ReadFile(*dir_ / "by8.qstore");
  for (const bool throws : {false, true}) {
    const auto source = std::make_shared<FailingSource>(bytes, throws);
    for (const unsigned read_ahead : {0U, 2U}) {
      OpenOptions options;
      options.read_ahead = read_ahead;
      options.read_size = 50000;
      source->failing = UINT64_MAX;
      const auto archive = Archive::Open(source, "far", options);
      ASSERT_TRUE(archive.ok());
      const std::vector<size_t> all = {0, 1, 2};
      for (const unsigned threads : kThreads) {
        for (uint64_t part = 1; part < 20; part += 5) {
          source->failing = bytes.size() * part / 21;
          const ErrorCode code = archive->Load(all, threads).status().code();
          EXPECT_EQ(code, throws ? ErrorCode::kLimit : ErrorCode::kIo);
          source->failing = UINT64_MAX;
        }
      }
    }
  }
}

// From too little for anything to plenty: between them are plans without parents put together, and
// units that wait for memory.
TEST_F(ChainRead, TakesWhatMemoryThereIs) {
  unsigned refused = 0;
  for (const char* name : {"by8.qstore", "by4.qstore"}) {
    for (const std::vector<size_t>& variants : {std::vector<size_t>{2}, {0, 1, 2}}) {
      for (const unsigned threads : {1U, 8U}) {
        bool was_enough = false;
        for (uint64_t memory = uint64_t{1} << 20; memory <= uint64_t{50} << 20;) {
          OpenOptions options;
          options.max_memory = memory;
          memory += std::max(uint64_t{400} << 10, memory / 4);
          const auto archive = Archive::Open(*dir_ / name, options);
          ASSERT_TRUE(archive.ok());
          const auto loaded = archive->Load(variants, threads);
          EXPECT_TRUE(loaded.ok() || !was_enough) << loaded.status().ToString();
          was_enough = loaded.ok();
          if (was_enough) {
            for (size_t i = 0; i < loaded->size(); ++i) {
              ASSERT_TRUE(
                  std::ranges::equal(loaded->content(i), Original(*archive, loaded->tensor(i))));
            }
            continue;
          }
          ++refused;
          EXPECT_EQ(loaded.status().code(), ErrorCode::kLimit);
          EXPECT_NE(loaded.status().message().find("tensor '"), std::string::npos);
          EXPECT_NE(loaded.status().message().find("max_memory"), std::string::npos);
        }
        EXPECT_TRUE(was_enough);
      }
    }
  }
  EXPECT_GT(refused, 10u);
}

TEST_F(ChainRead, QueuedReadsTakeWhatMemoryThereIs) {
  for (const uint64_t memory : {20u, 30u, 60u}) {
    OpenOptions options;
    options.max_memory = memory << 20;
    const auto archive = Archive::Open(*dir_ / "by4.qstore", options);
    ASSERT_TRUE(archive.ok());
    ReadQueue queue(*archive, 4);
    const VariantInfo all = archive->variant(2);
    std::vector<Bytes> out;
    std::vector<uint64_t> numbers;
    for (size_t i = 0; i < 6; ++i) {
      out.emplace_back(archive->tensor(all.first_tensor + i % all.tensor_count).byte_size);
      const auto number = queue.Begin({all.first_tensor + i % all.tensor_count, out.back()});
      ASSERT_TRUE(number.ok()) << number.status().ToString();
      numbers.push_back(*number);
    }
    for (size_t i = numbers.size(); i-- > 0;) {
      ASSERT_TRUE(queue.Finish(numbers[i]).ok());
      EXPECT_TRUE(out[i] == Original(*archive, all.first_tensor + i % all.tensor_count));
    }
  }
}

TEST_F(ChainRead, GivesOutNoMoreThanAllowed) {
  const Archive archive = Open("by8.qstore");
  const std::vector<size_t> all = {0, 1, 2};
  uint64_t bytes = 0;
  for (size_t v = 0; v < 3; ++v) bytes += archive.SizesOf(v)->tensor_bytes;
  EXPECT_TRUE(archive.Load(all, 2, {}, bytes).ok());
  const Status refused = archive.Load(all, 2, {}, bytes - 1).status();
  EXPECT_EQ(refused.code(), ErrorCode::kLimit);
  EXPECT_NE(refused.message().find("max_bytes"), std::string::npos);
}

TEST_F(ChainRead, StopsWhenTold) {
  const Archive archive = Open("by8.qstore");
  const std::vector<size_t> top = {*archive.FindVariant("bf16")};
  unsigned reports = 0;
  ASSERT_TRUE(archive.Load(top, 1, [&](const Progress&) { return ++reports > 0; }).ok());
  ASSERT_GT(reports, 8u);
  for (const unsigned threads : kThreads) {
    for (unsigned most = 1; most < reports; most += 3) {
      unsigned calls = 0;
      const auto stopped =
          archive.Load(top, threads, [&](const Progress&) { return ++calls < most; });
      EXPECT_EQ(stopped.status().code(), ErrorCode::kCancelled);
      EXPECT_EQ(calls, most);
    }
  }
}

TEST_F(ChainRead, ParentsAreThoseThatTheTestsAreAbout) {
  EXPECT_EQ(ParentOf(Open("by8.qstore"), "bf16"), "gptq8/a.qweight");
  EXPECT_EQ(ParentOf(Open("by4.qstore"), "bf16"), "gptq4/a.qweight");
  EXPECT_EQ(ParentOf(Open("by4.qstore"), "gptq8"), "gptq4/a.qweight");
}

}  // namespace
}  // namespace qstore
