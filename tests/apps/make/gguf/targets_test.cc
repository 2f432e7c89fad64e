// SPDX-License-Identifier: Apache-2.0
#include "make/gguf/targets.h"

#include <gtest/gtest.h>

#include "qstore_apps/quantize_gguf.h"

namespace qstore::make {
namespace {

TEST(GgufTargets, AreFoundInAnyLetterCase) {
  for (const char* name : {"q4_k_m", "Q4_K_M", "q4_K_m"}) {
    ASSERT_TRUE(IsGgufTarget(name)) << name;
    EXPECT_EQ(FindGgufTarget(name)->file_type, GgufFileType::kQ4KM);
  }
  EXPECT_EQ(FindGgufTarget("q3_k")->name, "Q3_K_M");
  for (const char* name : {"", "q4", "q4_k_l", "iq1_s", "q4_k_m ", "fp16"}) {
    EXPECT_FALSE(IsGgufTarget(name)) << name;
  }
  for (const std::string_view name : GgufTargetNames()) EXPECT_TRUE(IsGgufTarget(name)) << name;
}

TEST(GgufTargets, TypesHaveTheNamesOfGgml) {
  EXPECT_EQ(GgufTypeOf("q4_k"), DType::kQ4K);
  EXPECT_EQ(GgufTypeOf("IQ4_nl"), DType::kIq4Nl);
  EXPECT_EQ(GgufTypeOf("bf16"), DType::kBF16);
  for (const char* name : {"", "q4_k_m", "iq1_s", "q8_k", "i32"}) {
    EXPECT_EQ(GgufTypeOf(name), std::nullopt) << name;
  }
}

TEST(GgufTargets, TakeThePlaceOfThePrecisionInAName) {
  const auto stem = [](const char* of) { return GgufStemFor(of, *FindGgufTarget("q4_k_m")); };
  EXPECT_EQ(stem("model-bf16"), "model-Q4_K_M");
  EXPECT_EQ(stem("model.F32"), "model.Q4_K_M");
  EXPECT_EQ(stem("model_Q5_K_S"), "model_Q4_K_M");
  EXPECT_EQ(stem("model-fp16"), "model-Q4_K_M");
  EXPECT_EQ(stem("bf16"), "Q4_K_M");
  EXPECT_EQ(stem("model"), "model-Q4_K_M");
  EXPECT_EQ(stem("modelbf16"), "modelbf16-Q4_K_M");
  EXPECT_EQ(stem("bf16-model"), "bf16-model-Q4_K_M");
  EXPECT_EQ(stem("q8_0-f16"), "q8_0-Q4_K_M");
}

}  // namespace
}  // namespace qstore::make
