// SPDX-License-Identifier: Apache-2.0
// Folders as variants, and models of several files.
#include <gtest/gtest.h>

#include <algorithm>

#include "qstore/verify.h"
#include "unit/container/gguf_file.h"
#include "unit/container/imatrix_file.h"
#include "unit/store/model_files.h"

namespace qstore {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

using Names = std::vector<std::string>;

class ListVariantsTest : public ::testing::Test {
 protected:
  void Make(const Names& paths) {
    for (const std::string& path : paths) WriteFile(folder_ / path, "content of " + path);
  }
  // The files and folders of each variant, those of subfolders with the path of the variant.
  std::map<std::string, Names> Listed() {
    auto variants = ListVariants(folder_);
    EXPECT_TRUE(variants.ok()) << variants.status().ToString();
    std::map<std::string, Names> listed;
    if (!variants.ok()) return listed;
    order_.clear();
    for (const VariantSource& variant : *variants) {
      order_.push_back(variant.name);
      std::string inner = fs::relative(variant.path, folder_).generic_string();
      inner = inner == "." ? "" : inner + "/";
      Names& files = listed[variant.name];
      for (const std::string& file : variant.files) files.push_back(inner + file);
      if (variant.files.empty()) files.push_back(inner);
    }
    EXPECT_EQ(listed.size(), variants->size());
    return listed;
  }
  void ExpectRefused(ErrorCode code, const Names& mentioned) {
    const auto variants = ListVariants(folder_);
    ASSERT_FALSE(variants.ok());
    EXPECT_EQ(variants.status().code(), code) << variants.status().ToString();
    for (const std::string& text : mentioned) {
      EXPECT_NE(variants.status().message().find(text), std::string::npos)
          << text << ": " << variants.status().ToString();
    }
  }

  TempDir dir_;
  fs::path folder_ = dir_ / "Tiny-1B";
  Names order_;
};

TEST_F(ListVariantsTest, FilesSubfoldersAndTheRest) {
  Make({"config.json", "model.safetensors", ".gitattributes", "1_Pooling/config.json",
        "Tiny-Q4_K_M.gguf", "Tiny-Q8_0-00001-of-00002.gguf", "Tiny-Q8_0-00002-of-00002.gguf",
        "int8/model.safetensors", "int8/config.json", "BF16/Tiny-00001-of-00001.gguf"});
  EXPECT_EQ(Listed(),
            (std::map<std::string, Names>{
                {"Tiny-1B", {".gitattributes", "1_Pooling", "config.json", "model.safetensors"}},
                {"Tiny-Q4_K_M", {"Tiny-Q4_K_M.gguf"}},
                {"Tiny-Q8_0", {"Tiny-Q8_0-00001-of-00002.gguf", "Tiny-Q8_0-00002-of-00002.gguf"}},
                {"int8", {"int8/"}},
                {"BF16", {"BF16/"}}}));
  EXPECT_EQ(order_, (Names{"Tiny-1B", "BF16", "Tiny-Q4_K_M", "Tiny-Q8_0", "int8"}));
  // However the folder is named.
  for (const char* ending : {"", "/", "/.", "/int8/.."}) {
    const auto variants = ListVariants(folder_.string() + ending);
    ASSERT_TRUE(variants.ok()) << variants.status().ToString();
    EXPECT_EQ(variants->front().name, "Tiny-1B") << ending;
  }
}

TEST_F(ListVariantsTest, SubfoldersOfSeveralModelsAreListedThemselves) {
  Make({"quants/a.gguf", "quants/b.gguf", "more/c.gguf", "more/d.gguf", "more/README.md",
        "more/deep/e/f.gguf", "more/deep/e/notes.txt", "more/text/x.txt"});
  EXPECT_EQ(Listed(), (std::map<std::string, Names>{{"a", {"quants/a.gguf"}},
                                                    {"b", {"quants/b.gguf"}},
                                                    {"c", {"more/c.gguf"}},
                                                    {"d", {"more/d.gguf"}},
                                                    {"deep", {"more/deep/"}},
                                                    {"more", {"more/README.md", "more/text"}}}));
}

TEST_F(ListVariantsTest, ImportanceIsAVariantWhereItIsSome) {
  const std::string matrix = ImatrixFile().Add("a", 1, {1}).Bytes();
  Make({"a.gguf", "imatrix.gguf", "numbers.dat", "config.json", "hf/model.safetensors",
        "hf/one.dat", "hf/two.dat"});
  WriteFile(folder_ / "imatrix.dat", matrix);
  WriteFile(folder_ / "Tiny.imatrix", matrix);
  WriteFile(folder_ / "quants/b.gguf", "b");
  WriteFile(folder_ / "quants/b.dat", matrix);
  EXPECT_EQ(Listed(), (std::map<std::string, Names>{{"a", {"a.gguf"}},
                                                    {"imatrix.gguf", {"imatrix.gguf"}},
                                                    {"imatrix.dat", {"imatrix.dat"}},
                                                    {"Tiny", {"Tiny.imatrix"}},
                                                    {"Tiny-1B", {"config.json", "numbers.dat"}},
                                                    {"hf", {"hf/"}},
                                                    {"b.gguf", {"quants/b.gguf"}},
                                                    {"b.dat", {"quants/b.dat"}}}));
}

TEST_F(ListVariantsTest, FoldersWithoutFiles) {
  Make({"a.gguf"});
  fs::create_directories(folder_ / "empty.gguf");
  fs::create_directories(folder_ / "deep/empty.gguf");
  EXPECT_EQ(Listed(),
            (std::map<std::string, Names>{{"a", {"a.gguf"}}, {"Tiny-1B", {"deep", "empty.gguf"}}}));
  const Archive archive = PackAndOpen(*ListVariants(folder_), dir_ / "m.qstore");
  EXPECT_EQ(archive.variant(*archive.FindVariant("Tiny-1B")).file_count, 2u);
}

TEST_F(ListVariantsTest, NamesThatVariantsMayNotHave) {
  Make({"a b.gguf", ".hidden.gguf", "-x.gguf",
        "Gr\xc3\xb6\xc3\x9f"
        "e=1.gguf",
        "Q4+K.gguf", ".cache/note"});
  EXPECT_EQ(Listed(), (std::map<std::string, Names>{{"a_b", {"a b.gguf"}},
                                                    {"_hidden", {".hidden.gguf"}},
                                                    {"_x", {"-x.gguf"}},
                                                    {"Gr__e_1",
                                                     {"Gr\xc3\xb6\xc3\x9f"
                                                      "e=1.gguf"}},
                                                    {"Q4+K", {"Q4+K.gguf"}},
                                                    {"Tiny-1B", {".cache"}}}));
}

TEST_F(ListVariantsTest, NamesThatClash) {
  Make({"README.md", "Tiny-1B.gguf", "int8.gguf", "int8/model.safetensors", "x.gguf",
        "x-00001-of-00001.gguf"});
  EXPECT_EQ(Listed(),
            (std::map<std::string, Names>{{"Tiny-1B", {"README.md"}},
                                          {"Tiny-1B.gguf", {"Tiny-1B.gguf"}},
                                          {"int8", {"int8/"}},
                                          {"int8.gguf", {"int8.gguf"}},
                                          {"x.gguf", {"x.gguf"}},
                                          {"x-00001-of-00001.gguf", {"x-00001-of-00001.gguf"}}}));
}

TEST_F(ListVariantsTest, NamesThatCannotBeToldApart) {
  Make({"q/a.gguf", "q/b.gguf", "r/a.gguf", "r/c.gguf"});
  ExpectRefused(ErrorCode::kInvalidArgument, {"q/a.gguf", "r/a.gguf", "'a.gguf'"});
}

TEST_F(ListVariantsTest, WhatIsNoFolderOfModels) {
  ExpectRefused(ErrorCode::kNotFound, {"Tiny-1B"});
  fs::create_directories(folder_);
  ExpectRefused(ErrorCode::kInvalidArgument, {"holds no file"});
  Make({"a.gguf"});
  const auto file = ListVariants(folder_ / "a.gguf");
  EXPECT_EQ(file.status().code(), ErrorCode::kInvalidArgument);
  EXPECT_NE(file.status().message().find("is not a directory"), std::string::npos);
}

class SplitModel : public ListVariantsTest {
 protected:
  // Three files, each of one tensor.
  void WriteSplit(const fs::path& folder) {
    for (uint32_t i = 0; i < 3; ++i) {
      GgufFile file;
      file.U32("split.no", i).U32("split.count", 3);
      file.Add(BlockTensor(DType::kQ4K, "t" + std::to_string(i), 4, 2, i));
      const std::string name = "m-0000" + std::to_string(i + 1) + "-of-00003.gguf";
      WriteFile(folder / name, file.Bytes());
    }
  }
  void ExpectMissing(const fs::path& path, const Names& mentioned) {
    PackOptions options;
    options.sync = false;
    const VariantSource variant{"v", path};
    const auto report = Pack({&variant, 1}, dir_ / "new.qstore", options);
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.status().code(), ErrorCode::kNotFound) << report.status().ToString();
    for (const std::string& text : mentioned) {
      EXPECT_NE(report.status().message().find(text), std::string::npos)
          << text << ": " << report.status().ToString();
    }
  }
};

TEST_F(SplitModel, OneFileStandsForAll) {
  WriteSplit(folder_);
  Make({"other-00001-of-00002.gguf", "README.md"});  // Is not looked at.
  for (const char* number : {"1", "2", "3"}) {
    const fs::path path = folder_ / ("m-0000" + std::string(number) + "-of-00003.gguf");
    const Archive archive = PackAndOpen({{"v", path}}, dir_ / "m.qstore");
    ASSERT_EQ(archive.variant(0).file_count, 3u);
    EXPECT_EQ(archive.variant(0).tensor_count, 3u);
    for (const char* name : {"t0", "t1", "t2"}) EXPECT_TRUE(archive.FindTensor(0, name).ok());
    const auto files = Unpacked(archive, "v");
    EXPECT_EQ(files.size(), 3u);
    for (const auto& [name, content] : files) EXPECT_TRUE(content == ReadFile(folder_ / name));
    const VariantSource original{"v", path};
    const auto verified = Verify(archive, {&original, 1});
    EXPECT_TRUE(verified.ok()) << verified.status().ToString();
  }
}

TEST_F(SplitModel, EveryFileMustBeThere) {
  WriteSplit(folder_ / "quants");
  const fs::path first = folder_ / "quants/m-00001-of-00003.gguf";
  const fs::path second = folder_ / "quants/m-00002-of-00003.gguf";
  ASSERT_TRUE(ListVariants(folder_).ok());
  fs::rename(second, dir_ / "kept");
  const Names mentioned{first.string(), "is file 1 of 3", "m-00002-of-00003.gguf"};
  ExpectMissing(first, mentioned);
  ExpectMissing(folder_, mentioned);
  ExpectRefused(ErrorCode::kNotFound, mentioned);
  fs::remove(first);
  for (const fs::path& path : {folder_, folder_ / "quants/m-00003-of-00003.gguf"}) {
    ExpectMissing(path, {"is file 3 of 3", "m-00001-of-00003.gguf"});
  }
  ExpectMissing(first, {first.string()});
}

TEST_F(SplitModel, OtherNamesAreOfOneFile) {
  Make({"m-0001-of-0002.gguf", "m-00000-of-00002.gguf", "m-00003-of-00002.gguf",
        "m-00001-of-00002.safetensors", "00001-of-00002.gguf", "-00001-of-00002.gguf",
        "sub/-00001-of-00002.gguf", "m-+0001-of-00002.gguf", "m_00001-of-00002.gguf"});
  const Archive archive = PackAndOpen({{"v", folder_}}, dir_ / "m.qstore");
  EXPECT_EQ(archive.variant(0).file_count, 9u);
  EXPECT_EQ(Listed().size(), 9u);
}

TEST_F(SplitModel, FilesOfAVariantMayBeChosen) {
  Make({"a", "b", "sub/c", "sub/d"});
  const VariantSource chosen{"v", folder_, {"sub", "b"}};
  const Archive archive = PackAndOpen({chosen, {"w", folder_, {"a", "sub/c"}}}, dir_ / "m.qstore");
  const auto paths = [&](const char* variant) {
    Names names;
    for (const auto& [path, content] : Unpacked(archive, variant)) names.push_back(path);
    return names;
  };
  EXPECT_EQ(paths("v"), (Names{"b", "sub/c", "sub/d"}));
  EXPECT_EQ(paths("w"), (Names{"a", "sub/c"}));
  EXPECT_TRUE(Verify(archive, {&chosen, 1}).ok());
  const auto refused = [&](const Names& files) {
    const VariantSource wrong{"v", folder_, files};
    return Pack({&wrong, 1}, dir_ / "new.qstore", {}).status().code();
  };
  EXPECT_EQ(refused({"a", "a"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({"sub", "sub/c"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({"../Tiny-1B/a"}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(refused({"absent"}), ErrorCode::kNotFound);
}

}  // namespace
}  // namespace qstore
