// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/targets.h"

#include <gtest/gtest.h>

namespace qstore::make {
namespace {

TEST(Targets, OfQuantizeByName) {
  EXPECT_EQ(QuantizeTargetOf("llm-int8"), QuantizeTarget::kLlmInt8);
  EXPECT_EQ(QuantizeTargetOf("bf16"), QuantizeTarget::kBF16);
  EXPECT_EQ(QuantizeTargetOf("fp16"), QuantizeTarget::kF16);
  EXPECT_EQ(QuantizeTargetOf("nvfp4"), QuantizeTarget::kFormat);
  for (const char* name : {"", "f16", "BF16", "bf16 ", "gptq", "gptq-4bit"}) {
    EXPECT_EQ(QuantizeTargetOf(name), std::nullopt) << name;
  }
}

TEST(Targets, CalibratedAreListedAsThePackageTakesThem) {
  const auto targets = [](const char* to, const char* bits) {
    const auto made = CalibratedTargets(to, bits);
    EXPECT_TRUE(made.ok()) << made.status().ToString();
    return made.ok() ? *made : std::nullopt;
  };
  EXPECT_EQ(targets("gptq-4bit", ""), "gptq-4bit");
  EXPECT_EQ(targets("gptq-8bit,gptq-2bit", ""), "gptq-8bit,gptq-2bit");
  EXPECT_EQ(targets("gptq", "3"), "gptq-3bit");
  EXPECT_EQ(targets("gptq", "8,4"), "gptq-8bit,gptq-4bit");
  for (const char* other : {"", "bf16", "awq-4bit", "llm-int8", "bf16,fp16"}) {
    EXPECT_EQ(targets(other, ""), std::nullopt) << other;
    EXPECT_EQ(targets(other, "4"), std::nullopt) << other;
  }
}

TEST(Targets, CalibratedThatDoNotExistAreRefused) {
  const struct {
    const char* to;
    const char* bits;
    const char* message;
  } kBad[] = {{"gptq", "", "needs --bits"},
              {"gptq", "5", "not '5'"},
              {"gptq", "4,", "not ''"},
              {"gptq-4bit", "4", "--bits belongs to gptq alone"},
              {"gptq-5bit", "", "not '5'"},
              {"gptq-bit", "", "not ''"},
              {"gptq-4", "", "'gptq-4' is not gptq-Nbit"},
              {"gptqbit", "", "'gptqbit' is not gptq-Nbit"},
              {"gptq-4bit,bf16", "", "'bf16' is not gptq-Nbit"},
              {"bf16,gptq-4bit", "", "'bf16' is not gptq-Nbit"},
              {"gptq-4bit,", "", "'' is not gptq-Nbit"}};
  for (const auto& bad : kBad) {
    const auto made = CalibratedTargets(bad.to, bad.bits);
    ASSERT_FALSE(made.ok()) << bad.to;
    EXPECT_EQ(made.status().code(), ErrorCode::kInvalidArgument);
    EXPECT_NE(made.status().message().find(bad.message), std::string::npos)
        << made.status().ToString();
  }
}

TEST(Targets, AllAreNamedForPeople) {
  EXPECT_EQ(TargetNames(),
            "llm-int8, bf16, fp16, fp8-block, fp8-channel, fp8-tensor, int8, nvfp4, mxfp4, int4, "
            "fp8-fine-grained, nf4, gptq-2bit, gptq-3bit, gptq-4bit, gptq-8bit");
  EXPECT_EQ(SplitAtCommas("a,,b"), (std::vector<std::string>{"a", "", "b"}));
}

}  // namespace
}  // namespace qstore::make
