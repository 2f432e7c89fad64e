// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/quantize.h"

#include <gtest/gtest.h>

#include <cmath>

#include "apps/make/quantize_models.h"
#include "base/float_convert.h"
#include "io/model_tree.h"
#include "io/safetensors_index.h"
#include "make/convert.h"

namespace qstore::make {
namespace {

using namespace testing;  // NOLINT: the helpers of these tests

void ExpectFailure(const TempDir& dir, const QuantizeOptions& options, ErrorCode code,
                   const std::string& named) {
  auto report = Quantize(dir / "in", dir / "out", options);
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.status().code(), code) << report.status().ToString();
  EXPECT_NE(report.status().message().find(named), std::string::npos) << report.status().ToString();
  EXPECT_FALSE(fs::exists(dir / "out"));
}

TEST(Quantize, LlmInt8AsBitsandbytesStoresIt) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", kSmall);
  auto report = Quantize(dir / "in", dir / "out", kInt8);
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  EXPECT_EQ(report->quantized, std::vector<std::string>{"model.layers.0.q_proj.weight"});
  EXPECT_EQ(report->kept, 5u);
  EXPECT_EQ(report->kept_matrices.size(), 2u);
  EXPECT_EQ(report->output_bytes, fs::file_size(dir / "out/model.safetensors"));
  Model expected = kSmall;
  expected["model.layers.0.q_proj.weight"] =
      Of<int8_t>(DType::kI8, {3, 2}, {127, -64, 0, 0, 64, 127});
  expected["model.layers.0.q_proj.SCB"] = F32({3}, {1, 0, 0.5f});
  expected["model.layers.0.q_proj.weight_format"] = Of<uint8_t>(DType::kU8, {}, {0});
  EXPECT_EQ(ReadModel(dir / "out/model.safetensors"), expected);
}

TEST(Quantize, RestIsCastWhenAsked) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", kSmall);
  WriteFile(dir / "in/config.json", R"({"torch_dtype": "float32"})");
  QuantizeOptions options = kInt8;
  options.rest = QuantizeRest::kF16;
  ASSERT_TRUE(Quantize(dir / "in", dir / "out", options).ok());
  const Model out = ReadModel(dir / "out/model.safetensors");
  EXPECT_EQ(out.at("model.norm.weight"), Of<uint16_t>(DType::kF16, {2}, {0x3c00, 0x3c00}));
  EXPECT_EQ(out.at("model.layers.0.q_proj.SCB").dtype, DType::kF32);
  EXPECT_EQ(out.at("steps"), kSmall.at("steps"));
  EXPECT_NE(ReadFile(dir / "out/config.json").find(R"("torch_dtype": "float16")"),
            std::string::npos);
}

TEST(Quantize, CastsEveryFloatAndNothingElse) {
  TempDir dir;
  Model model = kSmall;
  model["double"] = Of<double>(DType::kF64, {2}, {1.0, -2.0});
  model["bf16"] = Of<uint16_t>(DType::kBF16, {1}, {0x3f80});
  model["fp8"] = Of<uint8_t>(DType::kF8E4M3, {1}, {0x38});
  model["empty"] = F32({0, 3}, {});
  WriteModel(dir / "in/model.safetensors", model);
  auto report = Quantize(dir / "in", dir / "out", To(QuantizeTarget::kBF16));
  ASSERT_TRUE(report.ok()) << report.status().ToString();
  const Model out = ReadModel(dir / "out/model.safetensors");
  ASSERT_EQ(out.size(), model.size());
  EXPECT_EQ(out.at("double"), Of<uint16_t>(DType::kBF16, {2}, {0x3f80, 0xc000}));
  EXPECT_EQ(out.at("bf16"), model["bf16"]);
  EXPECT_EQ(out.at("fp8"), model["fp8"]);
  EXPECT_EQ(out.at("steps"), model["steps"]);
  EXPECT_EQ(out.at("empty").dtype, DType::kBF16);
  EXPECT_EQ(out.at("lm_head.weight"),
            Of<uint16_t>(DType::kBF16, {2, 2}, {0x3f80, 0x4000, 0x4040, 0x4080}));
  EXPECT_EQ(report->cast.size(), 7u);
}

// Rows of many tasks and a row of several pieces give what one call over the whole row gives.
TEST(Quantize, LargeTensorsAndLongRowsAreTheSameByEveryNumberOfThreads) {
  TempDir dir;
  std::vector<float> values(3 * 2'500'000);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(static_cast<int>(i * 2654435761u >> 8 & 0xffff) - 32768) / 3e5f;
  }
  WriteModel(dir / "in/a.safetensors", {{"tall.weight", F32({75'000, 100}, values)},
                                        {"wide.weight", F32({3, 2'500'000}, values)}});
  for (const unsigned threads : {1u, 3u}) {
    const std::string name = "out" + std::to_string(threads);
    QuantizeOptions options = kInt8;
    options.threads = threads;
    ASSERT_TRUE(Quantize(dir / "in/a.safetensors", dir / name, options).ok());
    const Model out = ReadModel(dir / name / "a.safetensors");
    for (const char* module : {"tall", "wide"}) {
      const Content& q = out.at(module + std::string(".weight"));
      const Content& scb = out.at(module + std::string(".SCB"));
      const size_t columns = q.shape[1];
      for (size_t row = 0; row < q.shape[0]; ++row) {
        std::vector<uint16_t> f16(columns);
        for (size_t c = 0; c < columns; ++c) {
          f16[c] = base::FloatToFp16(values[row * columns + c]);
        }
        const float absmax = base::Fp16ToFloat(LargestMagnitude(f16));
        std::string expected(columns, '\0');
        QuantizeToInt8(f16, absmax, {reinterpret_cast<int8_t*>(expected.data()), columns});
        ASSERT_EQ(std::memcmp(scb.bytes.data() + row * 4, &absmax, 4), 0);
        ASSERT_EQ(q.bytes.compare(row * columns, columns, expected), 0);
      }
    }
  }
}

TEST(Quantize, ConfigSaysWhatTransformersWouldSay) {
  TempDir dir;
  WriteModel(dir / "in/model.safetensors", kSmall);
  WriteFile(dir / "in/config.json",
            R"({"a": 1e-12, "model_type": "bert", "text": {"dtype": "float32"}, "vocab": 5})");
  ASSERT_TRUE(Quantize(dir / "in", dir / "out", kInt8).ok());
  EXPECT_EQ(ReadFile(dir / "out/config.json"), R"({
  "a": 1e-12,
  "model_type": "bert",
  "quantization_config": {
    "_load_in_4bit": false,
    "_load_in_8bit": true,
    "bnb_4bit_compute_dtype": "float32",
    "bnb_4bit_quant_storage": "uint8",
    "bnb_4bit_quant_type": "fp4",
    "bnb_4bit_use_double_quant": false,
    "llm_int8_enable_fp32_cpu_offload": false,
    "llm_int8_has_fp16_weight": false,
    "llm_int8_skip_modules": null,
    "llm_int8_threshold": 6.0,
    "load_in_4bit": false,
    "load_in_8bit": true,
    "quant_method": "bitsandbytes"
  },
  "text": {
    "dtype": "float32"
  },
  "vocab": 5
}
)");
  ASSERT_TRUE(Quantize(dir / "in", dir / "cast", To(QuantizeTarget::kBF16)).ok());
  EXPECT_EQ(ReadFile(dir / "cast/config.json"),
            "{\n  \"a\": 1e-12,\n  \"model_type\": \"bert\",\n  \"text\": {\n"
            "    \"dtype\": \"bfloat16\"\n  },\n  \"vocab\": 5\n}\n");
}

TEST(Quantize, SkippedLayersAreNamedInTheConfig) {
  TempDir dir;
  Model model = kSmall;
  model["model.layers.0.k_proj.weight"] = F32({1, 2}, {1, 2});
  WriteModel(dir / "in/model.safetensors", model);
  WriteFile(dir / "in/config.json", "{}");
  QuantizeOptions options = kInt8;
  options.exclude = {"*k_proj*"};
  ASSERT_TRUE(Quantize(dir / "in", dir / "out", options).ok());
  const std::string config = ReadFile(dir / "out/config.json");
  for (const char* module :
       {"\"lm_head\"", "\"model.layers.0.k_proj\"", "\"model.embed_tokens\""}) {
    EXPECT_NE(config.find(module), std::string::npos) << config;
  }
  EXPECT_EQ(config.find("q_proj"), std::string::npos);
}

TEST(Quantize, OtherFilesAreCopiedAndLinksFollowed) {
  TempDir dir;
  WriteModel(dir / "blobs/1", kSmall);
  WriteFile(dir / "blobs/2", "{\"config\": 1}");
  fs::create_directories(dir / "in/sub");
  fs::create_symlink("../blobs/1", dir / "in/model.safetensors");
  fs::create_symlink("../../blobs/2", dir / "in/sub/config.json");
  WriteFile(dir / "in/empty", "");
  ASSERT_TRUE(Quantize(dir / "in", dir / "out", kInt8).ok());
  EXPECT_EQ(ReadFile(dir / "out/sub/config.json"), "{\"config\": 1}");  // No tensors beside it.
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(dir / "out/model.safetensors")));
  EXPECT_EQ(fs::file_size(dir / "out/empty"), 0u);
}

TEST(Quantize, ShardsStayShardsAndTheIndexFollows) {
  TempDir dir;
  WriteModel(dir / "in/model-1.safetensors", {{"a.q.weight", F32({1, 2}, {1, 2})}});
  WriteModel(dir / "in/model-2.safetensors",
             {{"b.q.weight", F32({1, 2}, {1, 2})}, {"b.q.bias", F32({1}, {1})}});
  WriteFile(dir / "in/model.safetensors.index.json",
            R"({"metadata":{"total_size":20},"weight_map":{"a.q.weight":"model-1.safetensors",)"
            R"("b.q.weight":"model-2.safetensors","b.q.bias":"model-2.safetensors"}})");
  ASSERT_TRUE(Quantize(dir / "in", dir / "out", kInt8).ok());
  ASSERT_TRUE(io::ListModelFiles(dir / "out").ok());
  const std::string text = ReadFile(dir / "out/model.safetensors.index.json");
  auto index = io::ParseSafetensorsIndex(text);
  ASSERT_TRUE(index.ok());
  size_t count = 0;
  for (const auto& [tensor, shard] : index->weight_map) {
    EXPECT_EQ(ReadModel(dir / "out" / shard).count(tensor), 1u) << tensor;
    ++count;
  }
  EXPECT_EQ(count, 7u);
  EXPECT_NE(text.find("\"total_size\": 18"), std::string::npos) << text;  // 2 * (2+4+1) + 4.
}

TEST(Quantize, ValuesThatInt8CannotHoldAreNamed) {
  for (const float bad : {NAN, INFINITY, -INFINITY, 70000.0f}) {
    TempDir dir;
    WriteModel(dir / "in/m.safetensors", {{"x.weight", F32({2, 1}, {1, bad})}});
    ExpectFailure(dir, kInt8, ErrorCode::kInvalidArgument, "'x.weight', row 1");
    EXPECT_TRUE(Quantize(dir / "in", dir / "cast", To(QuantizeTarget::kF16)).ok());
  }
  TempDir dir;  // Elsewhere they do not matter.
  WriteModel(dir / "in/m.safetensors",
             {{"x.weight", F32({1, 1}, {1})}, {"x.bias", F32({1}, {NAN})}});
  EXPECT_TRUE(Quantize(dir / "in", dir / "out", kInt8).ok());
}

TEST(Quantize, BadModelsAreRefusedAndLeaveNothing) {
  {
    TempDir dir;
    ExpectFailure(dir, kInt8, ErrorCode::kNotFound, "in");
    WriteFile(dir / "in/model.safetensors", "12345678");
    ExpectFailure(dir, kInt8, ErrorCode::kCorrupt, "model.safetensors");
  }
  {
    TempDir dir;
    WriteModel(dir / "in/m.safetensors", {{"embed.weight", F32({1, 1}, {1})}});
    ExpectFailure(dir, kInt8, ErrorCode::kInvalidArgument, "linear");
  }
  {
    TempDir dir;
    WriteModel(dir / "in/m.safetensors", kSmall);
    WriteFile(dir / "in/config.json", "{");
    ExpectFailure(dir, kInt8, ErrorCode::kCorrupt, "config.json");
    WriteFile(dir / "in/config.json", R"({"quantization_config": {}})");
    ExpectFailure(dir, kInt8, ErrorCode::kInvalidArgument, "quantization_config");
    WriteFile(dir / "in/config.json", R"({"model_type": "gpt2"})");
    ExpectFailure(dir, kInt8, ErrorCode::kInvalidArgument, "gpt2");
  }
  {
    TempDir dir;
    Model model = kSmall;
    model["model.layers.0.q_proj.SCB"] = F32({1}, {1});
    WriteModel(dir / "in/m.safetensors", model);
    ExpectFailure(dir, kInt8, ErrorCode::kInvalidArgument, "SCB");
  }
}

}  // namespace
}  // namespace qstore::make
