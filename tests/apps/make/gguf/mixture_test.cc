// SPDX-License-Identifier: Apache-2.0
// The types that llama-quantize gave: tests/golden/make_gguf_mixtures.py.
#include "make/gguf/mixture.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "unit/test_files.h"

namespace qstore::make {
namespace {

struct GoldenTensor {
  std::string name;
  std::vector<uint64_t> shape;
};

struct GoldenTypes {
  std::string target;
  char option = '-';
  std::string letters;
};

struct GoldenModel {
  std::string name;
  MixtureModel model;
  std::vector<GoldenTensor> tensors;
  std::vector<GoldenTypes> types;
};

struct GoldenMixtures {
  std::map<char, DType> letters;
  std::vector<GoldenModel> models;
};

std::vector<uint64_t> ShapeOf(std::string text) {
  std::vector<uint64_t> shape;
  std::replace(text.begin(), text.end(), 'x', ' ');
  std::istringstream in(text);
  for (uint64_t side; in >> side;) shape.push_back(side);
  return shape;
}

GoldenMixtures ReadGoldenMixtures() {
  GoldenMixtures golden;
  std::istringstream in(testing::ReadFile(QSTORE_GOLDEN "/gguf_mixtures.txt"));
  for (std::string kind; in >> kind;) {
    std::string name;
    std::string text;
    if (kind == "type") {
      in >> text >> name;
      golden.letters[text.front()] = *DTypeFromName(name);
    } else if (kind == "model") {
      GoldenModel& one = golden.models.emplace_back();
      MixtureModel& model = one.model;
      in >> one.name >> model.architecture >> model.layers >> model.experts >> model.heads >>
          model.kv_heads;
    } else if (kind == "tensor") {
      in >> name >> text;
      golden.models.back().tensors.push_back({name, ShapeOf(text)});
    } else {
      std::string letters;
      in >> name >> text >> letters;
      for (const char option : text) golden.models.back().types.push_back({name, option, letters});
    }
  }
  return golden;
}

MixtureOptions OptionsOf(const GoldenTypes& types) {
  MixtureOptions options;
  options.target = *FindGgufTarget(types.target);
  options.has_importance = types.option == 'i';
  options.pure = types.option == 'p';
  options.keep_output = types.option == 'l';
  if (types.option == 'o') options.output_type = DType::kQ8_0;
  if (types.option == 'e') options.embedding_type = DType::kQ4_0;
  return options;
}

std::vector<MixtureTensor> TensorsOf(const GoldenModel& model) {
  std::vector<MixtureTensor> tensors;
  for (const GoldenTensor& tensor : model.tensors) {
    tensors.push_back({tensor.name, DType::kF32, tensor.shape});
  }
  return tensors;
}

TEST(Mixture, IsThatOfLlamaQuantize) {
  const GoldenMixtures golden = ReadGoldenMixtures();
  EXPECT_EQ(golden.models.size(), 13u);
  for (const GoldenModel& model : golden.models) {
    for (const GoldenTypes& wanted : model.types) {
      SCOPED_TRACE(model.name + ' ' + wanted.target + ' ' + wanted.option);
      const auto made = MixTypes(model.model, OptionsOf(wanted), TensorsOf(model));
      ASSERT_EQ(made.ok(), wanted.letters != "-");
      for (size_t t = 0; made.ok() && t < made->size(); ++t) {
        EXPECT_EQ((*made)[t], golden.letters.at(wanted.letters[t])) << model.tensors[t].name;
      }
    }
  }
}

TEST(Mixture, TensorsGoByLayerAndName) {
  for (const GoldenModel& model : ReadGoldenMixtures().models) {
    for (size_t t = 1; t < model.tensors.size(); ++t) {
      const std::string& name = model.tensors[t].name;
      const std::string& before = model.tensors[t - 1].name;
      EXPECT_TRUE(ComesBefore(before, name)) << before << ' ' << name;
      EXPECT_FALSE(ComesBefore(name, before)) << before << ' ' << name;
    }
  }
}

TEST(Mixture, ALayerBeyondTheModelIsRefused) {
  const uint64_t whole[] = {2, 256};
  const MixtureTensor beyond[] = {{"blk.4.ffn_down.0.weight", DType::kF32, whole}};
  MixtureOptions options;
  options.target = *FindGgufTarget("q4_k");
  const auto layer = MixTypes({"llama", 4, 2, 1, 1}, options, beyond);
  ASSERT_FALSE(layer.ok());
  EXPECT_EQ(layer.status().message(),
            "tensor 'blk.4.ffn_down.0.weight': its name is of none of the 4 layers of the model");
}

}  // namespace
}  // namespace qstore::make
