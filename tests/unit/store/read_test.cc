// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "store/archive_file.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Bytes = std::vector<std::byte>;

// An archive of a pair with tensors of several chunks, and its tensors as they must come back.
class Read : public ::testing::Test {
 protected:
  void SetUp() override {
    WritePair(dir_ / "high", dir_ / "low", 1100, 700);
    PackOptions options;
    options.sync = false;
    const std::vector<VariantSource> variants = {{"high", dir_ / "high"}, {"low", dir_ / "low"}};
    ASSERT_TRUE(Pack(variants, dir_ / "m.qstore", options).ok());
  }

  Archive Open() const {
    auto archive = Archive::Open(dir_ / "m.qstore");
    EXPECT_TRUE(archive.ok()) << archive.status().ToString();
    return std::move(archive).value();
  }

  Bytes Original(const Archive& archive, size_t tensor) const {
    const TensorInfo info = archive.tensor(tensor);
    const bool is_low = tensor < archive.variant(0).first_tensor + archive.variant(0).tensor_count;
    const std::string file = ReadFile(dir_ / (is_low ? "low" : "high") / "model.safetensors");
    auto header = io::ReadSafetensorsHeader(MemorySource(file));
    EXPECT_TRUE(header.ok());
    for (const auto& entry : header->tensors) {
      if (entry.name != info.name) continue;
      const auto all = std::as_bytes(std::span(file)).subspan(entry.begin, entry.end - entry.begin);
      return {all.begin(), all.end()};
    }
    return {};
  }

  // Stored bytes of the header of the variant's model.safetensors.
  static uint64_t HeaderPayload(const Archive& archive, size_t variant) {
    const format::Index& index = archive.impl().index();
    const size_t file = archive.tensor(archive.variant(variant).first_tensor).file;
    const format::ObjectEntry& header = index.objects[index.parts[index.files[file].parts.begin]];
    EXPECT_EQ(header.chunk_count, 1u);
    return index.chunks[header.first_chunk].stored_size;
  }

  // Buffers for all tensors of these variants.
  static std::vector<Bytes> Buffers(const Archive& archive, const std::vector<size_t>& variants,
                                    std::vector<ReadRequest>* requests) {
    std::vector<Bytes> buffers;
    for (const size_t v : variants) {
      const VariantInfo info = archive.variant(v);
      for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
        buffers.emplace_back(archive.tensor(t).byte_size);
        requests->push_back({t, buffers.back()});
      }
    }
    return buffers;
  }

  TempDir dir_;
};

TEST_F(Read, EveryTensorAlone) {
  const Archive archive = Open();
  for (size_t t = 0; t < 10; ++t) {
    Bytes out(archive.tensor(t).byte_size);
    ASSERT_TRUE(archive.ReadTensor(t, out).ok());
    EXPECT_TRUE(out == Original(archive, t)) << archive.tensor(t).name;
  }
}

TEST_F(Read, AnyStretchOfAFile) {
  const Archive archive = Open();
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
      const FileInfo info = archive.file(f);
      const std::string file = ReadFile(dir_ / variant.name / info.path);
      const auto all = std::as_bytes(std::span(file));
      ASSERT_EQ(all.size(), info.size);
      const uint64_t size = info.size;
      for (const auto& [begin, end] :
           std::vector<std::pair<uint64_t, uint64_t>>{{0, size},
                                                      {0, std::min<uint64_t>(size, 8)},
                                                      {size / 9, size / 2},
                                                      {size / 2, size},
                                                      {size, size}}) {
        Bytes out(end - begin);
        const Status status = archive.ReadFile(f, begin, out);
        ASSERT_TRUE(status.ok()) << status.ToString();
        EXPECT_TRUE(std::equal(out.begin(), out.end(), all.begin() + begin)) << begin;
      }
      Bytes byte(1);
      EXPECT_EQ(archive.ReadFile(f, size, byte).code(), ErrorCode::kInvalidArgument);
      EXPECT_EQ(archive.ReadFile(f, UINT64_MAX, byte).code(), ErrorCode::kInvalidArgument);
    }
  }
}

TEST_F(Read, LoadOfOneOrBothVariantsReadsWhatItSaysAndNothingTwice) {
  for (const unsigned threads : {1U, 4U}) {
    for (const auto& variants : {std::vector<size_t>{0}, {1}, {0, 1}}) {
      const Archive archive = Open();
      std::vector<ReadRequest> requests;
      const std::vector<Bytes> buffers = Buffers(archive, variants, &requests);
      const Status status = archive.Read(requests, threads);
      ASSERT_TRUE(status.ok()) << status.ToString();
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_TRUE(buffers[i] == Original(archive, requests[i].tensor))
            << archive.tensor(requests[i].tensor).name;
      }
      // The low variant's tensors are all that the high one needs beside its own.
      const uint64_t others = variants.size() == 1 ? 0 : HeaderPayload(archive, 0);
      EXPECT_EQ(archive.bytes_read(), archive.SizesOf(variants.back())->load_bytes + others);
    }
  }
}

TEST_F(Read, LowVariantAloneReadsLittleMoreThanIsStoredForIt) {
  const Archive archive = Open();
  const VariantSizes low = *archive.SizesOf(0);
  const VariantSizes high = *archive.SizesOf(1);
  EXPECT_LT(static_cast<double>(low.load_bytes), 1.02 * static_cast<double>(low.own_bytes));
  EXPECT_LT(low.load_bytes + high.own_bytes / 2, archive.stored_bytes());
}

TEST_F(Read, LoadTellsHowFarItIsAndStopsWhenTold) {
  const Archive archive = Open();
  const std::vector<size_t> variants = {0, 1};
  const uint64_t size = archive.SizesOf(0)->tensor_bytes + archive.SizesOf(1)->tensor_bytes;
  for (const unsigned threads : {1U, 4U}) {
    std::vector<uint64_t> seen;
    const auto loaded = archive.Load(variants, threads, [&](const Progress& progress) {
      EXPECT_EQ(progress.total_bytes, size);
      seen.push_back(progress.done_bytes);
      return true;
    });
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    ASSERT_GT(seen.size(), 3u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.back(), size);
    unsigned calls = 0;
    const auto stopped =
        archive.Load(variants, threads, [&](const Progress&) { return ++calls < 2; });
    EXPECT_EQ(stopped.status().code(), ErrorCode::kCancelled);
    EXPECT_EQ(calls, 2u);
  }
}

TEST_F(Read, LoadGivesAllTensorsOfTheVariants) {
  const Archive archive = Open();
  for (const std::vector<size_t>& variants :
       {std::vector<size_t>{}, {0}, {1}, {0, 1}, {1, 0}, {1, 1}}) {
    auto loaded = archive.Load(variants);
    ASSERT_TRUE(loaded.ok()) << loaded.status().ToString();
    size_t i = 0;
    for (const size_t v : variants) {
      const VariantInfo info = archive.variant(v);
      for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t, ++i) {
        ASSERT_LT(i, loaded->size());
        EXPECT_EQ(loaded->tensor(i), t);
        EXPECT_TRUE(std::ranges::equal(loaded->content(i), Original(archive, t)));
        EXPECT_EQ(reinterpret_cast<uintptr_t>(loaded->content(i).data()) % 64, 0u);
      }
    }
    EXPECT_EQ(i, loaded->size());
    // What was loaded lives on when it is moved.
    const LoadedTensors moved = std::move(*loaded);
    EXPECT_EQ(moved.size(), i);
    if (i == 0) continue;
    EXPECT_TRUE(std::ranges::equal(moved.content(0), Original(archive, moved.tensor(0))));
  }
}

TEST_F(Read, AllocateGivesTheMemoryThatItsRequestsFill) {
  const Archive archive = Open();
  const size_t variant = 1;
  auto allocated = archive.Allocate({&variant, 1});
  ASSERT_TRUE(allocated.ok()) << allocated.status().ToString();
  std::vector<const std::byte*> places;
  for (size_t i = 0; i < allocated->size(); ++i) places.push_back(allocated->content(i).data());
  const LoadedTensors tensors = std::move(*allocated);
  ASSERT_TRUE(archive.Read(tensors.requests()).ok());
  ASSERT_EQ(tensors.size(), archive.variant(variant).tensor_count);
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(tensors.content(i).data(), places[i]);
    EXPECT_TRUE(std::ranges::equal(tensors.content(i), Original(archive, tensors.tensor(i))));
  }
}

TEST_F(Read, RowsEqualThoseOfTheWhole) {
  const Archive archive = Open();
  for (const size_t variant : {size_t{0}, size_t{1}}) {
    const size_t t = *archive.FindTensor(variant, "b.weight");
    const Bytes whole = Original(archive, t);
    const size_t row = whole.size() / 1100;
    const std::vector<std::pair<uint64_t, uint64_t>> slices = {
        {0, 1100}, {0, 1}, {1099, 1100}, {373, 376}, {100, 900}, {5, 5}, {900, kAllRows}};
    for (const auto& [begin, end] : slices) {
      const uint64_t last = end == kAllRows ? 1100 : end;
      Bytes out((last - begin) * row);
      EXPECT_EQ(*archive.RowsByteSize(t, begin, end), out.size());
      const Status status = archive.ReadRows(t, begin, end, out);
      ASSERT_TRUE(status.ok()) << status.ToString();
      const auto same = std::span(whole).subspan(begin * row, out.size());
      EXPECT_TRUE(std::ranges::equal(out, same)) << begin << " " << end;
    }
  }
}

TEST_F(Read, FewRowsReadFewChunks) {
  const Archive archive = Open();
  const size_t t = *archive.FindTensor(0, "a.weight");
  const uint64_t before = archive.bytes_read();
  Bytes out(700);
  ASSERT_TRUE(archive.ReadRows(t, 10, 11, out).ok());
  // One chunk of 374 rows out of 1100.
  EXPECT_LT(archive.bytes_read() - before, (*archive.CodingsOf(0))[t].stored_bytes * 4 / 10);
}

TEST_F(Read, OneCallMayAskForATensorSeveralTimesAndInPieces) {
  const Archive archive = Open();
  const size_t high = *archive.FindTensor(1, "a.weight");
  const size_t low = *archive.FindTensor(0, "a.weight");
  const size_t scb = *archive.FindTensor(0, "a.SCB");
  const Bytes whole = Original(archive, high);
  const size_t row = whole.size() / 1100;
  Bytes first(whole.size());
  Bytes second(whole.size());
  Bytes piece(300 * row);
  Bytes parent(500 * 700);
  Bytes scales(1100 * 4);
  const std::vector<ReadRequest> requests = {{high, second},
                                             {high, piece, 200, 500},
                                             {high, first},
                                             {low, parent, 400, 900},
                                             {scb, scales, 0, kAllRows}};
  const Status status = archive.Read(requests, 3);
  ASSERT_TRUE(status.ok()) << status.ToString();
  EXPECT_TRUE(first == whole);
  EXPECT_TRUE(second == whole);
  EXPECT_EQ(std::memcmp(piece.data(), whole.data() + 200 * row, piece.size()), 0);
  EXPECT_EQ(std::memcmp(parent.data(), Original(archive, low).data() + 400 * 700, parent.size()),
            0);
  EXPECT_TRUE(scales == Original(archive, scb));
}

TEST_F(Read, WrongRequestsAreRefused) {
  const Archive archive = Open();
  const size_t t = *archive.FindTensor(0, "a.weight");
  Bytes out(1100 * 700);
  const auto code = [&](uint64_t begin, uint64_t end, size_t size) {
    return archive.ReadRows(t, begin, end, std::span(out).first(size)).code();
  };
  EXPECT_EQ(code(0, 1100, out.size() - 1), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(0, 1101, out.size()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(2, 1, 0), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(0, 1100, out.size()), ErrorCode::kOk);
  Bytes last(archive.tensor(9).byte_size);
  EXPECT_TRUE(archive.ReadTensor(9, last).ok());
  for (const size_t beyond : {size_t{10}, SIZE_MAX}) {
    const Status status = archive.ReadTensor(beyond, out);
    EXPECT_EQ(status.code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(status.message().find("of 10"), std::string::npos) << status.ToString();
  }
  EXPECT_EQ(archive.FindVariant("none").status().code(), ErrorCode::kNotFound);
  EXPECT_EQ(archive.FindTensor(0, "none").status().code(), ErrorCode::kNotFound);
}

TEST_F(Read, EveryPayloadBitIsChecked) {
  std::string bytes = ReadFile(dir_ / "m.qstore");
  const uint64_t end = bytes.size() - 56 - 300;
  for (uint64_t at = 72; at < end; at += end / 40) {
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 0x10);
    WriteFile(dir_ / "bad.qstore", bad);
    auto archive = Archive::Open(dir_ / "bad.qstore");
    if (!archive.ok()) continue;  // In the index.
    std::vector<ReadRequest> requests;
    const std::vector<Bytes> buffers = Buffers(*archive, {0, 1}, &requests);
    const Status status = archive->Read(requests, 2);
    // Bytes of files that are no tensors are not read here.
    if (status.ok()) {
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_TRUE(buffers[i] == Original(*archive, requests[i].tensor));
      }
    } else {
      EXPECT_EQ(status.code(), ErrorCode::kCorrupt);
      EXPECT_NE(status.message().find("checksum"), std::string::npos) << status.message();
    }
  }
}

TEST(ReadOdd, TensorsWithoutBytesScalarsAndPackedTypes) {
  const TempDir dir;
  WriteSafetensors(dir / "m/model.safetensors", {{"empty", DType::kF32, {0, 4}, {}},
                                                 {"scalar", DType::kF32, {}, RandomBytes(4, 1)},
                                                 {"f4", DType::kF4, {2, 3}, RandomBytes(3, 2)},
                                                 {"f4e", DType::kF4, {3, 4}, RandomBytes(6, 3)}});
  const Archive archive = PackAndOpen({{"m", dir / "m"}}, dir / "m.qstore");
  Bytes out(16);
  const auto rows = [&](const char* name, uint64_t begin, uint64_t end, size_t size) {
    return archive.ReadRows(*archive.FindTensor(0, name), begin, end, std::span(out).first(size));
  };
  EXPECT_TRUE(rows("empty", 0, kAllRows, 0).ok());
  EXPECT_TRUE(rows("scalar", 0, kAllRows, 4).ok());
  EXPECT_EQ(rows("scalar", 0, 1, 4).code(), ErrorCode::kInvalidArgument);
  EXPECT_TRUE(rows("f4e", 1, 2, 2).ok());
  EXPECT_EQ(out[0], RandomBytes(6, 3)[2]);
  // Rows of one and a half bytes.
  EXPECT_EQ(rows("f4", 0, 1, 1).code(), ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace qstore
