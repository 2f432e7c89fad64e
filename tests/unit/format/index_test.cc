// SPDX-License-Identifier: Apache-2.0
#include "format/index.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <algorithm>
#include <functional>
#include <random>
#include <string>

#include "base/bytes.h"
#include "base/hash.h"
#include "format/limits.h"
#include "unit/format/sample_index.h"

namespace qstore::format {
namespace {

Status StoreAndRead(const Index& index) {
  Footer footer = FooterFor(index);
  auto stored = EncodeIndex(index, &footer);
  if (!stored.ok()) return stored.status();
  return DecodeIndex(*stored, footer).status();
}

TEST(Index, ComesBackAsItWas) {
  const Index index = SampleIndex();
  Footer footer = FooterFor(index);
  auto stored = EncodeIndex(index, &footer);
  ASSERT_TRUE(stored.ok()) << stored.status().ToString();
  EXPECT_EQ(footer.index_stored_size, stored->size());
  auto back = DecodeIndex(*stored, footer);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  ASSERT_EQ(back->variants.size(), 2u);
  EXPECT_EQ(back->variants[1].name, "bf16");
  EXPECT_EQ(back->variants[1].files.begin, 2u);
  ASSERT_EQ(back->files.size(), 4u);
  EXPECT_EQ(back->files[3].path, "model.safetensors");
  EXPECT_EQ(back->files[3].digest[0], 3);
  EXPECT_EQ(back->parts, index.parts);
  ASSERT_EQ(back->tensors.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(back->tensors[i].name, index.tensors[i].name);
    EXPECT_EQ(back->tensors[i].part, index.tensors[i].part);
    EXPECT_EQ(back->tensors[i].dtype, index.tensors[i].dtype);
  }
  EXPECT_EQ(back->dims, index.dims);
  ASSERT_EQ(back->objects.size(), index.objects.size());
  EXPECT_EQ(back->objects[6].scheme, 1u);
  EXPECT_EQ(std::vector<uint32_t>(back->parents_of(back->objects[6]).begin(),
                                  back->parents_of(back->objects[6]).end()),
            (std::vector<uint32_t>{3, 2}));
  EXPECT_EQ(back->objects[6].first_chunk, index.objects[6].first_chunk);
  ASSERT_EQ(back->chunks.size(), index.chunks.size());
  for (size_t i = 0; i < index.chunks.size(); ++i) {
    EXPECT_EQ(back->chunks[i].offset, index.chunks[i].offset);
    EXPECT_EQ(back->chunks[i].checksum, index.chunks[i].checksum);
  }
}

TEST(Index, TakesNoMoreMemoryThanAllowed) {
  const Index index = SampleIndex();
  Footer footer = FooterFor(index);
  const auto stored = EncodeIndex(index, &footer);
  ASSERT_TRUE(stored.ok());
  uint64_t least = 0;
  while (!DecodeIndex(*stored, footer, least).ok()) {
    EXPECT_EQ(DecodeIndex(*stored, footer, least).status().code(), ErrorCode::kLimit);
    ++least;
  }
  const auto back = DecodeIndex(*stored, footer, least);
  EXPECT_GE(least, back->memory());
  EXPECT_LE(least, back->memory() + stored->size() + 3 * index.objects.size() + index.parts.size());
}

// As a variant that was dropped leaves them.
TEST(Index, ObjectsOfNoFileAreThereForThoseThatFollowFromThem) {
  Index index = SampleIndex();
  AddRaw(&index, DType::kU8, 4, 4, 4);
  AddRaw(&index, DType::kU8, 4, 4, 4);
  EXPECT_EQ(StoreAndRead(index).code(), ErrorCode::kCorrupt);
  SetParents(&index, 7, 1, {}, {8});
  EXPECT_EQ(StoreAndRead(index).code(), ErrorCode::kCorrupt);
  SetParents(&index, 6, 1, {}, {3, 2, 7});
  EXPECT_TRUE(StoreAndRead(index).ok());
}

struct HostileCase {
  const char* name;
  std::function<void(Index*)> change;
  ErrorCode code = ErrorCode::kCorrupt;
};

void PrintTo(const HostileCase& hostile, std::ostream* out) { *out << hostile.name; }

class HostileIndex : public testing::TestWithParam<HostileCase> {};

TEST_P(HostileIndex, IsRefused) {
  Index index = SampleIndex();
  ASSERT_TRUE(StoreAndRead(index).ok());
  GetParam().change(&index);
  const Status status = StoreAndRead(index);
  EXPECT_EQ(status.code(), GetParam().code) << status.ToString();
  EXPECT_FALSE(status.message().empty());
}

const std::string& Long(size_t size) {
  static std::string text;
  return text = std::string(size, 'x');
}

INSTANTIATE_TEST_SUITE_P(
    Rules, HostileIndex,
    testing::Values(
        HostileCase{"NoVariant", [](Index* x) { *x = Index(); }},
        HostileCase{"EqualVariants", [](Index* x) { x->variants[1].name = "int8"; }},
        HostileCase{"VariantName", [](Index* x) { x->variants[1].name = "a/b"; }},
        HostileCase{"FilesOfVariants", [](Index* x) { x->variants[1].files.end = 3; }},
        HostileCase{"AbsolutePath", [](Index* x) { x->files[2].path = "/etc/passwd"; }},
        HostileCase{"ParentPath", [](Index* x) { x->files[2].path = "a/../../b"; }},
        HostileCase{"DotPath", [](Index* x) { x->files[2].path = "./b"; }},
        HostileCase{"EmptyPath", [](Index* x) { x->files[2].path = ""; }},
        HostileCase{"BackslashPath", [](Index* x) { x->files[2].path = "..\\b"; }},
        HostileCase{"NulPath", [](Index* x) { x->files[2].path = std::string_view("a\0b", 3); }},
        HostileCase{"TrailingSlash", [](Index* x) { x->files[2].path = "a/"; }},
        HostileCase{"LongPath", [](Index* x) { x->files[2].path = Long(kMaxPathBytes + 1); }},
        HostileCase{"EqualPaths", [](Index* x) { x->files[2].path = x->files[3].path; }},
        HostileCase{"PathOrder", [](Index* x) { x->files[2].path = "z"; }},
        HostileCase{"FileAndFolder", [](Index* x) { x->files[3].path = "config.json/x"; }},
        HostileCase{"FileSize", [](Index* x) { x->files[1].size++; }},
        HostileCase{"OpaqueWithTensors", [](Index* x) { x->files[1].container = kNoContainer; }},
        HostileCase{"SafetensorsWithoutParts",
                    [](Index* x) {
                      x->files[0].container = 1, x->files[0].size = 0, x->files[0].parts.end = 0,
                      x->files[1].parts.begin = 0;
                    }},
        HostileCase{"UnknownFileFlag", [](Index* x) { x->files[0].flags = 4; },
                    ErrorCode::kUnsupportedFeature},
        HostileCase{"DirectoryWithContent", [](Index* x) { x->files[0].flags = 2; }},
        HostileCase{"PartBeyondObjects", [](Index* x) { x->parts[5] = 7; }},
        HostileCase{"ObjectInNoFile", [](Index* x) { AddRaw(x, DType::kU8, 4, 4, 4); }},
        HostileCase{"TensorIsHeader", [](Index* x) { x->tensors[0].part = 1; }},
        HostileCase{"TensorOutsideFile", [](Index* x) { x->tensors[3].part = 3; }},
        HostileCase{"TensorsShareAPart", [](Index* x) { x->tensors[0].part = 3; }},
        HostileCase{"EqualTensorNames", [](Index* x) { x->tensors[1].name = "a.SCB"; }},
        HostileCase{"TensorOrder", [](Index* x) { x->tensors[0].name = "zz"; }},
        HostileCase{"ShapeAndSize", [](Index* x) { x->dims[1] = 4; }},
        HostileCase{"ShapeOverflow", [](Index* x) { x->dims[1] = uint64_t{1} << 62; }},
        HostileCase{"DTypeAndSize", [](Index* x) { x->tensors[1].dtype = DType::kF16; }},
        HostileCase{"SubByteObject", [](Index* x) { x->objects[0].dtype = DType::kF4; }},
        HostileCase{"CutElement", [](Index* x) { x->objects[0].dtype = DType::kI32; }},
        HostileCase{"EmptyRows", [](Index* x) { x->objects[0].row_elems = 0; }},
        HostileCase{"EmptyChunks", [](Index* x) { x->objects[0].chunk_elems = 0; }},
        HostileCase{"HugeChunks", [](Index* x) { x->objects[0].chunk_elems = kMaxChunkBytes + 1; }},
        HostileCase{"TooFewChunks", [](Index* x) { x->objects[6].chunk_elems = 2; }},
        HostileCase{"TooManyChunks", [](Index* x) { x->objects[1].chunk_elems = 100; }},
        HostileCase{"ParentIsItself", [](Index* x) { x->parents[0] = 6; }},
        HostileCase{"ParentIsNoObject", [](Index* x) { x->parents[1] = 7; }},
        HostileCase{"ParentsWithoutScheme",
                    [](Index* x) { x->objects[6].parents.end = x->objects[6].parents.begin; }},
        HostileCase{"RawChunkOfOtherSize", [](Index* x) { x->chunks[0].stored_size = 9; }},
        HostileCase{"ChunkLargerThanContent",
                    [](Index* x) {
                      x->chunks[0].stored_size = 11;
                      x->chunks[0].codec = ChunkCodec::kZstd;
                    }},
        HostileCase{"ChunkBeyondLimit",
                    [](Index* x) { x->chunks[0].stored_size = kMaxChunkBytes + 1; },
                    ErrorCode::kLimit},
        HostileCase{"LongTensorName",
                    [](Index* x) { x->tensors[2].name = Long(kMaxTensorNameBytes + 1); },
                    ErrorCode::kLimit},
        HostileCase{"UnknownCodec",
                    [](Index* x) { x->chunks[0].codec = ChunkCodec{kChunkCodecCount}; },
                    ErrorCode::kUnsupportedFeature},
        HostileCase{"UnknownTensorType", [](Index* x) { x->tensors[0].dtype = DType{kDTypeCount}; },
                    ErrorCode::kUnsupportedFeature}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Index, ParametersComeBack) {
  const std::byte params[] = {std::byte{7}, std::byte{0}, std::byte{255}};
  Index index = SampleIndex();
  SetParents(&index, 2, UINT16_MAX, params, {6});
  index.objects[6].scheme = kNoScheme;
  index.objects[6].parents = {};
  // Laid out as a reader finds them: by object.
  index.parents = {6};
  index.objects[2].parents = {0, 1};
  Footer footer = FooterFor(index);
  auto stored = EncodeIndex(index, &footer);
  ASSERT_TRUE(stored.ok());
  auto back = DecodeIndex(*stored, footer);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  const ObjectEntry& object = back->objects[2];
  EXPECT_EQ(object.scheme, UINT16_MAX);
  EXPECT_TRUE(std::ranges::equal(object.params, params));
  EXPECT_EQ(back->parents_of(object)[0], 6u);
}

// Objects each of which has the one before for its only parent; the last one has further ones.
Index ChainOf(uint32_t count, const std::vector<uint32_t>& more = {}) {
  Index index;
  for (uint32_t i = 0; i < count; ++i) {
    AddRaw(&index, DType::kF16, 8, 4, 4);
    if (i == 0) continue;
    std::vector<uint32_t> parents = {i - 1};
    if (i + 1 == count) parents.insert(parents.end(), more.begin(), more.end());
    SetParents(&index, i, 2, {}, parents);
  }
  index.variants = {{"v", {0, 1}}};
  for (uint32_t i = 0; i < count; ++i) index.parts.push_back(i);
  index.files = {{"f", 8 * uint64_t{count}, {}, kNoContainer, 0, {0, count}, {0, 0}}};
  return index;
}

TEST(Index, AncestorsHaveALimit) {
  EXPECT_TRUE(StoreAndRead(ChainOf(kMaxDepth + 1)).ok());
  EXPECT_EQ(StoreAndRead(ChainOf(kMaxDepth + 2)).code(), ErrorCode::kLimit);
  // Each object of a layer has all of the layer before for parents.
  Index index;
  constexpr uint32_t kWide = 16;
  for (uint32_t i = 0; i < 4 * kWide; ++i) {
    AddRaw(&index, DType::kF16, 8, 4, 4);
    std::vector<uint32_t> parents;
    for (uint32_t p = 0; p < kWide; ++p) parents.push_back((i / kWide - 1) * kWide + p);
    if (i >= kWide) SetParents(&index, i, 2, {}, parents);
    index.parts.push_back(i);
  }
  const auto count = static_cast<uint32_t>(index.parts.size());
  index.variants = {{"v", {0, 1}}};
  index.files = {{"f", 8 * uint64_t{count}, {}, kNoContainer, 0, {0, count}, {0, 0}}};
  EXPECT_EQ(StoreAndRead(index).code(), ErrorCode::kLimit);
}

TEST(Index, AncestorsOfAllObjectsHaveALimit) {
  const auto with_children = [](uint32_t children) {
    Index index;
    for (uint32_t i = 0; i < children + 2; ++i) {
      AddRaw(&index, DType::kF16, 8, 4, 4);
      if (i == 1) SetParents(&index, i, 2, {}, std::vector<uint32_t>(1023, 0));
      if (i > 1) SetParents(&index, i, 2, {}, {1, 1, 1});
      index.parts.push_back(i);
    }
    const auto count = static_cast<uint32_t>(index.parts.size());
    index.variants = {{"v", {0, 1}}};
    index.files = {{"f", 8 * uint64_t{count}, {}, kNoContainer, 0, {0, count}, {0, 0}}};
    return index;
  };
  const auto most = static_cast<uint32_t>((kMaxAllAncestors - 1023) / (3 * 1024));
  EXPECT_TRUE(StoreAndRead(with_children(most)).ok());
  EXPECT_EQ(StoreAndRead(with_children(most + 1)).code(), ErrorCode::kLimit);
}

TEST(Index, ParentsMayComeLaterButNotInACircle) {
  Index index = ChainOf(4);
  index.objects[0].scheme = 2;
  index.parents.insert(index.parents.begin(), 3);
  for (uint32_t i = 0; i < 4; ++i) index.objects[i].parents = {i, i + 1};
  EXPECT_EQ(StoreAndRead(index).code(), ErrorCode::kLimit);
  index.objects[3].scheme = kNoScheme;
  index.objects[3].parents = {};
  index.parents.resize(3);
  EXPECT_TRUE(StoreAndRead(index).ok()) << StoreAndRead(index).ToString();
}

// Payloads of two generations: what lies between them, and behind, belongs to no chunk.
TEST(Index, GapsAreForArchivesOfSeveralGenerations) {
  Index index = SampleIndex();
  const uint32_t second = index.objects[5].first_chunk;
  for (uint32_t c = second; c < index.chunks.size(); ++c) index.chunks[c].offset += 1000;
  Footer footer = FooterFor(index);
  footer.index_offset += 50;
  const auto stored = EncodeIndex(index, &footer);
  ASSERT_TRUE(stored.ok());
  EXPECT_EQ(DecodeIndex(*stored, footer).status().code(), ErrorCode::kCorrupt);
  const auto back = DecodeIndex(*stored, footer, UINT64_MAX, Gaps::kAllowed);
  ASSERT_TRUE(back.ok()) << back.status().ToString();
  for (size_t c = 0; c < index.chunks.size(); ++c) {
    EXPECT_EQ(back->chunks[c].offset, index.chunks[c].offset);
  }
  // But not inside an object.
  const uint32_t inside = index.objects[1].first_chunk + 1;
  ASSERT_LT(inside, index.objects[1].first_chunk + index.objects[1].chunk_count);
  for (uint32_t c = inside; c < index.chunks.size(); ++c) index.chunks[c].offset += 10;
  footer = FooterFor(index);
  const auto torn = EncodeIndex(index, &footer);
  ASSERT_TRUE(torn.ok());
  EXPECT_EQ(DecodeIndex(*torn, footer, UINT64_MAX, Gaps::kAllowed).status().code(),
            ErrorCode::kCorrupt);
}

TEST(Index, DimensionsBesideAZeroMayBeOfAnySize) {
  Index index = SampleIndex();
  index.dims[3] = uint64_t{1} << 63;
  index.dims[4] = 0;
  EXPECT_TRUE(StoreAndRead(index).ok()) << StoreAndRead(index).ToString();
  index.dims[4] = 2;
  EXPECT_EQ(StoreAndRead(index).code(), ErrorCode::kCorrupt);
}

class RawIndex : public testing::Test {
 protected:
  void SetUp() override {
    const Index index = SampleIndex();
    footer_ = FooterFor(index);
    auto stored = EncodeIndex(index, &footer_);
    ASSERT_TRUE(stored.ok());
    raw_.resize(footer_.index_raw_size);
    ASSERT_EQ(ZSTD_decompress(raw_.data(), raw_.size(), stored->data(), stored->size()),
              raw_.size());
  }
  // What a reader says to an index whose checksums hold but whose content is `raw`.
  Status Read(const std::vector<std::byte>& raw) const {
    std::vector<std::byte> stored(ZSTD_compressBound(raw.size()));
    stored.resize(ZSTD_compress(stored.data(), stored.size(), raw.data(), raw.size(), 1));
    Footer footer = footer_;
    footer.index_stored_size = stored.size();
    footer.index_raw_size = raw.size();
    footer.index_checksum = base::Hash64(stored);
    return DecodeIndex(stored, footer).status();
  }
  Footer footer_;
  std::vector<std::byte> raw_;
};

TEST_F(RawIndex, EveryCutIsRefused) {
  ASSERT_TRUE(Read(raw_).ok());
  for (size_t size = 0; size < raw_.size(); ++size) {
    EXPECT_FALSE(Read({raw_.begin(), raw_.begin() + static_cast<ptrdiff_t>(size)}).ok()) << size;
  }
}

TEST_F(RawIndex, RandomBytesNeverBreakTheReader) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20000; ++round) {
    auto raw = raw_;
    for (uint64_t changes = random() % 4 + 1; changes > 0; --changes) {
      raw[random() % raw.size()] = static_cast<std::byte>(random());
    }
    (void)Read(raw);
  }
}

TEST_F(RawIndex, LaterSectionsAreSkippedOrRefused) {
  auto with = [&](uint8_t kind) {
    auto raw = raw_;
    raw.insert(raw.end(), {std::byte{kind}, std::byte{1}, std::byte{0xff}});
    return Read(raw).code();
  };
  EXPECT_EQ(with(kFirstSkippableSection + 1), ErrorCode::kOk);
  EXPECT_EQ(with(6), ErrorCode::kUnsupportedFeature);
  EXPECT_EQ(with(5), ErrorCode::kCorrupt);
}

// It has 32 bytes for each of the files, no more and no less.
TEST_F(RawIndex, Sha256IsOfEveryFile) {
  const auto with = [&](size_t bytes, size_t before) {
    std::vector<std::byte> section = {std::byte{128}};
    base::ByteWriter(&section).Varint(bytes);
    section.resize(section.size() + bytes, std::byte{7});
    auto raw = raw_;
    raw.insert(raw.end() - static_cast<std::ptrdiff_t>(before), section.begin(), section.end());
    return Read(raw);
  };
  const size_t files = SampleIndex().files.size();
  const auto read = with(32 * files, 0);
  ASSERT_TRUE(read.ok()) << read.ToString();
  for (const size_t wrong : {size_t{0}, 32 * files - 1, 32 * files + 1}) {
    EXPECT_EQ(with(wrong, 0).code(), ErrorCode::kCorrupt) << wrong;
  }
  EXPECT_EQ(with(32 * files, raw_.size()).code(), ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace qstore::format
