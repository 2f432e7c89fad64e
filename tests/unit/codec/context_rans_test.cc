// SPDX-License-Identifier: Apache-2.0
#include "codec/context_rans.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace qstore::codec {
namespace {

using Bytes = std::vector<std::byte>;
using Symbols = std::vector<uint8_t>;

constexpr size_t kContexts = 5;

struct Sample {
  Symbols symbols;
  Symbols contexts;
};

// Context c has the symbols 0 to c, each half as likely as the one before; context 0 has but one.
Sample MakeSample(size_t count) {
  std::mt19937 random(11);
  Sample sample;
  for (size_t i = 0; i < count; ++i) {
    const auto context = static_cast<uint8_t>(random() % kContexts);
    uint8_t symbol = 0;
    while (symbol < context && random() % 2 == 0) ++symbol;
    sample.contexts.push_back(context);
    sample.symbols.push_back(static_cast<uint8_t>(3 * symbol + context));
  }
  return sample;
}

Bytes Encoded(const Sample& sample, size_t contexts = kContexts) {
  Bytes out;
  ContextRansScratch scratch;
  const Contexts of{sample.contexts, 0, contexts};
  CountByContext(sample.symbols, of, &scratch);
  EncodeContextRans(sample.symbols, of, &scratch, &out);
  return out;
}

Status Decoded(const Bytes& payload, const Sample& sample, Symbols* out) {
  base::ByteReader reader(payload);
  ContextRansScratch scratch;
  out->assign(sample.contexts.size(), 0xee);
  const Status status = DecodeContextRans(&reader, {sample.contexts, 0, kContexts},
                                          sample.contexts.size(), &scratch, out->data());
  EXPECT_TRUE(!status.ok() || reader.remaining() == 0);
  return status;
}

TEST(ContextRans, SymbolsComeBack) {
  for (const size_t count : {0u, 1u, 31u, 32u, 33u, 1000u, 70000u}) {
    const Sample sample = MakeSample(count);
    Symbols back;
    ASSERT_TRUE(Decoded(Encoded(sample), sample, &back).ok()) << count;
    EXPECT_EQ(back, sample.symbols);
  }
}

TEST(ContextRans, TakesTheEntropyOfEachContext) {
  const Sample sample = MakeSample(100000);
  // Of the contexts: 0, 1, 1.5, 1.75 and 1.875 bits.
  const double bits = (0 + 1 + 1.5 + 1.75 + 1.875) / 5 * 100000;
  EXPECT_LT(static_cast<double>(Encoded(sample).size()), 1.01 * bits / 8 + 250);
}

TEST(ContextRans, AllSymbolsOfAByteComeBack) {
  std::mt19937 random(2);
  Sample sample;
  for (int i = 0; i < 5000; ++i) {
    sample.contexts.push_back(static_cast<uint8_t>(random() % kContexts));
    sample.symbols.push_back(static_cast<uint8_t>(random()));
  }
  Symbols back;
  ASSERT_TRUE(Decoded(Encoded(sample), sample, &back).ok());
  EXPECT_EQ(back, sample.symbols);
}

TEST(ContextRans, AnyDamageIsFoundOrGivesSymbols) {
  const Sample sample = MakeSample(300);
  const Bytes good = Encoded(sample);
  Symbols back;
  for (size_t size = 0; size < good.size(); ++size) {
    const Bytes cut(good.begin(), good.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_EQ(Decoded(cut, sample, &back).code(), ErrorCode::kCorrupt) << size;
  }
  std::mt19937 random(4);
  for (int i = 0; i < 3000; ++i) {
    Bytes bad = good;
    bad[random() % bad.size()] ^= static_cast<std::byte>(1 + random() % 255);
    base::ByteReader reader(bad);
    ContextRansScratch scratch;
    const Status status = DecodeContextRans(&reader, {sample.contexts, 0, kContexts},
                                            sample.contexts.size(), &scratch, back.data());
    EXPECT_TRUE(status.ok() || status.code() == ErrorCode::kCorrupt);
  }
}

// The first context has one symbol: its table is two bytes. The second has two frequencies.
TEST(ContextRans, FrequenciesThatDoNotFillTheScaleAreCorrupt) {
  const Sample sample = MakeSample(300);
  const Bytes good = Encoded(sample);
  Symbols back;
  for (const auto& [at, value] : {std::pair{0, 1}, {4, 0x7f}, {4, 0}}) {
    Bytes bad = good;
    bad[static_cast<size_t>(at)] = static_cast<std::byte>(value);
    EXPECT_EQ(Decoded(bad, sample, &back).code(), ErrorCode::kCorrupt) << at;
  }
}

}  // namespace
}  // namespace qstore::codec
