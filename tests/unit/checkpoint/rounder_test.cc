// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <map>

#include "base/float_convert.h"
#include "qstore/round.h"

namespace qstore {
namespace {

constexpr char kName[] = "a.b.weight";

std::vector<std::byte> BytesOf(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> bytes;
  for (const float value : values) {
    const uint32_t pattern = dtype == DType::kF32    ? std::bit_cast<uint32_t>(value)
                             : dtype == DType::kBF16 ? base::FloatToBf16(value)
                                                     : base::FloatToFp16(value);
    for (unsigned b = 0; b < DTypeBits(dtype); b += 8) {
      bytes.push_back(static_cast<std::byte>(pattern >> b));
    }
  }
  return bytes;
}

std::vector<float> Values(uint64_t count) {
  std::vector<float> values(count);
  uint32_t state = 1;
  for (float& value : values) {
    state = state * 1664525 + 1013904223;
    value = static_cast<float>(static_cast<int32_t>(state)) / 0x1p36f;
  }
  return values;
}

Result<Rounder> Make(std::string_view format, std::vector<uint64_t> shape,
                     DType dtype = DType::kBF16, std::string_view name = kName) {
  return Rounder::Create(format, name, dtype, shape);
}

// The contents of all tensors, made of pieces of about so many weights; every byte written once.
std::vector<std::vector<std::byte>> Contents(const Rounder& rounder, DType dtype,
                                             const std::vector<std::byte>& weights,
                                             uint64_t about) {
  std::vector<std::vector<std::byte>> contents;
  std::vector<uint64_t> written;
  for (const RoundedTensor& tensor : rounder.tensors()) {
    uint64_t bits = DTypeBits(tensor.dtype);
    for (const uint64_t side : tensor.shape) bits *= side;
    contents.emplace_back(bits / 8);
    written.push_back(0);
  }
  const uint64_t size = DTypeBits(dtype) / 8;
  const auto peak = rounder.PeakOf(weights);
  EXPECT_TRUE(peak.ok()) << peak.status().ToString();
  const uint64_t step = std::max<uint64_t>(1, about / rounder.unit()) * rounder.unit();
  for (uint64_t first = 0; first < weights.size() / size; first += step) {
    const uint64_t count = std::min(step, weights.size() / size - first);
    const auto parts = rounder.Round(first, std::span(weights).subspan(first * size, count * size),
                                     peak.ok() ? *peak : 0);
    EXPECT_TRUE(parts.ok()) << parts.status().ToString();
    if (!parts.ok()) return {};
    for (const RoundedPart& part : *parts) {
      auto& content = contents[part.tensor];
      EXPECT_LE(part.begin + part.bytes.size(), content.size());
      if (part.begin + part.bytes.size() > content.size()) return {};
      std::copy(part.bytes.begin(), part.bytes.end(),
                content.begin() + static_cast<std::ptrdiff_t>(part.begin));
      written[part.tensor] += part.bytes.size();
    }
  }
  for (size_t t = 0; t < contents.size(); ++t) EXPECT_EQ(written[t], contents[t].size()) << t;
  return contents;
}

std::string TextOf(const RoundedTensor& tensor) {
  std::string text = tensor.name + " " + std::string(DTypeName(tensor.dtype));
  for (const uint64_t side : tensor.shape) text += " " + std::to_string(side);
  return text;
}

TEST(Rounder, FormatsHaveTheirTensors) {
  const std::map<std::string_view, std::vector<std::string>> kExpected = {
      {"fp8-block", {"a.b.weight F8_E4M3 256 384", "a.b.weight_scale BF16 2 3"}},
      {"fp8-channel", {"a.b.weight F8_E4M3 256 384", "a.b.weight_scale BF16 256 1"}},
      {"fp8-tensor", {"a.b.weight F8_E4M3 256 384", "a.b.weight_scale BF16 1"}},
      {"int8", {"a.b.weight I8 256 384", "a.b.weight_scale BF16 256 1"}},
      {"nvfp4",
       {"a.b.weight_packed U8 256 192", "a.b.weight_scale F8_E4M3 256 24",
        "a.b.weight_global_scale F32 1"}},
      {"mxfp4", {"a.b.weight_packed U8 256 192", "a.b.weight_scale U8 256 12"}},
      {"int4",
       {"a.b.weight_packed I32 256 48", "a.b.weight_scale BF16 256 3", "a.b.weight_shape I64 2"}},
      {"fp8-fine-grained", {"a.b.weight F8_E4M3 256 384", "a.b.weight_scale_inv F32 2 3"}},
      {"nf4",
       {"a.b.weight U8 49152 1", "a.b.weight.absmax F32 1536", "a.b.weight.quant_map F32 16",
        "a.b.weight.quant_state.bitsandbytes__nf4 U8 80"}}};
  EXPECT_EQ(RoundFormats().size(), kExpected.size());
  for (const std::string_view format : RoundFormats()) {
    const auto rounder = Make(format, {256, 384});
    ASSERT_TRUE(rounder.ok()) << rounder.status().ToString();
    std::vector<std::string> tensors;
    for (const RoundedTensor& tensor : rounder->tensors()) tensors.push_back(TextOf(tensor));
    ASSERT_TRUE(kExpected.contains(format)) << format;
    EXPECT_EQ(tensors, kExpected.at(format)) << format;
  }
}

TEST(Rounder, PiecesMakeWhatTheWholeMakes) {
  for (const std::string_view format : RoundFormats()) {
    const DType dtype = DType::kBF16;
    const auto rounder = Make(format, {384, 256}, dtype);
    ASSERT_TRUE(rounder.ok()) << rounder.status().ToString();
    const auto weights = BytesOf(Values(384 * 256), dtype);
    const auto whole = Contents(*rounder, dtype, weights, 384 * 256);
    for (const uint64_t about : {uint64_t{1}, uint64_t{1000}, uint64_t{40'000}}) {
      EXPECT_EQ(Contents(*rounder, dtype, weights, about), whole) << format << ' ' << about;
    }
  }
}

TEST(Rounder, OneScaleIsThatOfTheLargestMagnitude) {
  const auto rounder = Make("fp8-tensor", {2, 2}, DType::kF32);
  ASSERT_TRUE(rounder.ok()) << rounder.status().ToString();
  EXPECT_TRUE(rounder->needs_peak());
  const auto contents = Contents(*rounder, DType::kF32, BytesOf({1, -224, 448, 0}, DType::kF32), 1);
  ASSERT_EQ(contents.size(), 2u);
  const std::vector<std::byte> codes = {std::byte{0x38}, std::byte{0xf6}, std::byte{0x7e},
                                        std::byte{0}};
  EXPECT_EQ(contents[0], codes);
  EXPECT_EQ(contents[1], BytesOf({1}, DType::kF32));
}

TEST(Rounder, GlobalScaleIsRoundedToTheTypeOfTheWeights) {
  const std::vector<float> values(16, 3.0f);
  const std::map<DType, float> kExpected = {
      {DType::kF32, 1.0f / 3.0f * 2688.0f}, {DType::kBF16, 896.0f}, {DType::kF16, 896.0f}};
  for (const auto& [dtype, expected] : kExpected) {
    const auto rounder = Make("nvfp4", {1, 16}, dtype);
    ASSERT_TRUE(rounder.ok()) << rounder.status().ToString();
    const auto contents = Contents(*rounder, dtype, BytesOf(values, dtype), 16);
    ASSERT_EQ(contents.size(), 3u);
    EXPECT_EQ(contents[2], BytesOf({expected}, DType::kF32)) << DTypeName(dtype);
  }
  // Where that is infinite, as 2688 / 2^-6 is in F16, it is 1.
  const auto rounder = Make("nvfp4", {1, 16}, DType::kF16);
  const auto weights = BytesOf(std::vector<float>(16, 0x1p-6f), DType::kF16);
  EXPECT_EQ(Contents(*rounder, DType::kF16, weights, 16)[2], BytesOf({1}, DType::kF32));
}

TEST(Rounder, StateIsTheTextThatTheToolWrites) {
  const auto rounder = Make("nf4", {2, 33}, DType::kF16);
  ASSERT_TRUE(rounder.ok()) << rounder.status().ToString();
  const auto contents = Contents(*rounder, DType::kF16, BytesOf(Values(66), DType::kF16), 64);
  ASSERT_EQ(contents.size(), 4u);
  EXPECT_EQ(contents[1].size(), 8u);  // Of 64 weights, and of 2.
  const std::string state(reinterpret_cast<const char*>(contents[3].data()), contents[3].size());
  EXPECT_EQ(state,
            R"({"quant_type": "nf4", "blocksize": 64, "dtype": "float16", "shape": [2, 33]})");
}

TEST(Rounder, WhatDoesNotFitIsRefused) {
  const struct {
    const char* format;
    std::vector<uint64_t> shape;
    DType dtype;
    const char* name;
    const char* message;
  } kBad[] = {
      {"fp9", {128, 128}, DType::kBF16, kName, "'fp9' is none of fp8-block, "},
      {"fp8-block", {128, 128}, DType::kBF16, "a.bias", "wants 'weight' last"},
      {"fp8-block", {128}, DType::kBF16, kName, "wants a matrix"},
      {"fp8-block", {0, 128}, DType::kBF16, kName, "wants a matrix that is not empty"},
      {"fp8-block", {uint64_t{1} << 40, uint64_t{1} << 40}, DType::kBF16, kName, "wants a matrix"},
      {"fp8-block", {128, 128}, DType::kF64, kName, "is not made of F64"},
      {"int8", {128, 128}, DType::kI8, kName, "is not made of I8"},
      {"mxfp4", {128, 128}, DType::kF16, kName, "is not made of F16"},
      {"nvfp4", {128, 24}, DType::kBF16, kName, "its 24 columns are no multiple of 16"},
      {"mxfp4", {128, 48}, DType::kBF16, kName, "its 48 columns are no multiple of 32"},
      {"int4", {128, 64}, DType::kBF16, kName, "its 64 columns are no multiple of 128"},
      {"fp8-fine-grained", {64, 128}, DType::kBF16, kName, "its 64 rows are no multiple of 128"},
      {"fp8-fine-grained", {128, 96}, DType::kBF16, kName, "its 96 columns are no multiple of 128"},
      {"nf4", {3, 3}, DType::kBF16, kName, "its 9 weights are no multiple of 2"}};
  for (const auto& bad : kBad) {
    const auto rounder = Make(bad.format, bad.shape, bad.dtype, bad.name);
    ASSERT_FALSE(rounder.ok()) << bad.message;
    EXPECT_EQ(rounder.status().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(rounder.status().message().find(bad.message), std::string::npos)
        << rounder.status().ToString();
  }
}

TEST(Rounder, OnlyPiecesOfFiniteWeightsAreTaken) {
  const auto rounder = Make("fp8-channel", {3, 4}, DType::kF32);
  ASSERT_TRUE(rounder.ok()) << rounder.status().ToString();
  EXPECT_EQ(rounder->unit(), 4u);
  const auto row = BytesOf({1, 2, 3, 4}, DType::kF32);
  EXPECT_TRUE(rounder->Round(8, row).ok());
  EXPECT_FALSE(rounder->Round(2, row).ok());
  EXPECT_FALSE(rounder->Round(12, row).ok());
  EXPECT_FALSE(rounder->Round(0, {}).ok());
  EXPECT_FALSE(rounder->Round(0, std::span(row).first(8)).ok());
  EXPECT_FALSE(rounder->Round(8, BytesOf(Values(8), DType::kF32)).ok());
  EXPECT_FALSE(rounder->PeakOf(std::span(row).first(3)).ok());
  EXPECT_FALSE(rounder->Round(0, std::span(row).first(15)).ok());
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const auto infinite = rounder->Round(0, BytesOf({1, -kInfinity, 3, 4}, DType::kF32));
  ASSERT_FALSE(infinite.ok());
  EXPECT_NE(infinite.status().message().find("holds infinity"), std::string::npos)
      << infinite.status().ToString();
  EXPECT_NE(infinite.status().message().find(kName), std::string::npos);
  const auto nan = rounder->PeakOf(
      BytesOf({1, kInfinity, std::numeric_limits<float>::quiet_NaN(), 4}, DType::kF32));
  ASSERT_FALSE(nan.ok());
  EXPECT_NE(nan.status().message().find("holds NaN"), std::string::npos) << nan.status().ToString();
}

}  // namespace
}  // namespace qstore
