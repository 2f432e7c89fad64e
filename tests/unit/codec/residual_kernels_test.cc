// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "base/float_convert.h"
#include "codec/kernels/kernels.h"
#include "codec/nibbles.h"

namespace qstore::codec {
namespace {

using Symbols = std::vector<uint8_t>;

class ResidualKernelsTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (kernels_ == nullptr) kernels_ = &scalar_;  // The machine has no such instructions.
  }
  const Kernels& scalar_ = *KernelsByName("scalar");
  const Kernels* kernels_ = KernelsByName(GetParam());
};

INSTANTIATE_TEST_SUITE_P(Isa, ResidualKernelsTest,
                         ::testing::Values("scalar", "avx2", "avx2_shuffles", "avx512"),
                         [](const auto& test) { return std::string(test.param); });

struct Coded {
  Symbols nibbles, low, extra;
  std::vector<uint32_t> listed;
  uint64_t low_bits = 0, extra_bits = 0;
  bool operator==(const Coded&) const = default;
};

Coded Put(const Kernels& kernels, const Symbols& q, const Symbols& values, const ResidualRun& run) {
  Coded coded;
  coded.nibbles.resize(q.size());
  coded.low.resize(2 * q.size() + kReadSlack);
  coded.extra.resize(2 * q.size() + kReadSlack);
  coded.listed.resize(q.size());
  ResidualSinks sinks{{coded.low.data(), 0}, {coded.extra.data(), 0}, coded.listed.data(), 0};
  kernels.put_residual16(q.data(), values.data(), q.size(), &run, 7, &sinks, coded.nibbles.data());
  coded.low_bits = sinks.low_bits.position;
  coded.extra_bits = sinks.extra_bits.position;
  coded.listed.resize(sinks.listed_count);
  coded.low.resize((coded.low_bits + 7) / 8);
  coded.extra.resize((coded.extra_bits + 7) / 8);
  return coded;
}

// As one run, or as several of the same parameters.
std::vector<ResidualRun> Runs(ResidualRun run, size_t count, size_t each) {
  std::vector<ResidualRun> runs;
  for (; count > 0; count -= run.count) {
    run.count = static_cast<uint32_t>(std::min(count, each));
    runs.push_back(run);
  }
  return runs;
}

Symbols Take(const Kernels& kernels, const Symbols& q, const Coded& coded, const ResidualRun& run,
             size_t each) {
  Symbols out(2 * q.size());
  BitCursor low{coded.low.data(), 0, coded.low_bits};
  BitCursor extra{coded.extra.data(), 0, coded.extra_bits};
  const std::vector<ResidualRun> runs = Runs(run, q.size(), each);
  kernels.residual16(q.data(), coded.nibbles.data(), runs.data(), runs.size(), &low, &extra,
                     out.data());
  EXPECT_EQ(low.position, low.limit);
  EXPECT_EQ(extra.position, extra.limit);
  return out;
}

ResidualRun RunOf(float scale, bool is_bf16, unsigned width, int32_t zero) {
  ResidualRun run{};
  run.scale = scale;
  run.zero = zero;
  run.is_bf16 = is_bf16;
  run.width = static_cast<uint16_t>(width);
  const int field = is_bf16 ? (base::FloatToBf16(scale) & 0x7fff) >> 7
                            : (base::FloatToFp16(scale) & 0x7fff) >> 10;
  run.exponent = static_cast<uint16_t>(field > 0 ? field : 1);
  return run;
}

constexpr float kScales[] = {0.0f,   0x1p-100f, 6e-8f, 1e-4f,    0.0007f, 0.013f, -0.02f,
                             0.125f, 1.0f,      300.f, 60000.0f, 7e4f,    1e30f,  3e38f};

// Every pattern of the type, whatever is predicted: listed or exact.
TEST_P(ResidualKernelsTest, EveryPatternComesBackOrIsListed) {
  std::mt19937 random(3);
  Symbols values(2 << 16), q(1 << 16);
  for (uint32_t i = 0; i < q.size(); ++i) {
    values[2 * i] = static_cast<uint8_t>(i);
    values[2 * i + 1] = static_cast<uint8_t>(i >> 8);
    q[i] = static_cast<uint8_t>(random());
  }
  for (const bool is_bf16 : {false, true}) {
    for (const float scale : kScales) {
      const unsigned width = static_cast<unsigned>(random()) % (is_bf16 ? 9 : 12);
      const ResidualRun run = RunOf(scale, is_bf16, width, random() % 2 == 0 ? 8 : 128);
      const Coded coded = Put(scalar_, q, values, run);
      ASSERT_TRUE(Put(*kernels_, q, values, run) == coded) << scale << " " << is_bf16;
      Symbols back = Take(*kernels_, q, coded, run, random() % 2 == 0 ? q.size() : 96);
      for (const uint32_t place : coded.listed) {
        const size_t i = place - 7;
        back[2 * i] = values[2 * i];
        back[2 * i + 1] = values[2 * i + 1];
      }
      ASSERT_EQ(back, values) << scale << " " << is_bf16 << " " << width;
    }
  }
}

// Values as quantizers see them: most near their prediction, some of them small.
TEST_P(ResidualKernelsTest, RunsOfAnyLengthAreCodedTheSame) {
  std::mt19937 random(6);
  std::normal_distribution<float> normal;
  for (int round = 0; round < 400; ++round) {
    Symbols q(random() % 600), values(2 * q.size());
    const bool is_bf16 = random() % 4 != 0;
    const float scale = kScales[random() % std::size(kScales)];
    for (size_t i = 0; i < q.size(); ++i) {
      q[i] = static_cast<uint8_t>(120 + random() % 16);
      const float value = scale * (static_cast<float>(q[i]) - 128.0f + 0.5f * normal(random));
      const uint16_t pattern = is_bf16 ? base::FloatToBf16(value) : base::FloatToFp16(value);
      std::memcpy(&values[2 * i], &pattern, sizeof(pattern));
    }
    const ResidualRun run =
        RunOf(scale, is_bf16, static_cast<unsigned>(random()) % (is_bf16 ? 9 : 12), 128);
    ASSERT_TRUE(Put(*kernels_, q, values, run) == Put(scalar_, q, values, run)) << round;
  }
}

// Any nibbles and bits, as a damaged archive has them, and streams that end early.
TEST_P(ResidualKernelsTest, NoiseDecodesToTheSame) {
  std::mt19937 random(4);
  for (int round = 0; round < 200; ++round) {
    const size_t count = random() % 3000;
    Symbols q(count), nibbles(count), bits(random() % 4000 + kReadSlack);
    for (auto* bytes : {&q, &nibbles, &bits}) {
      for (auto& b : *bytes) b = static_cast<uint8_t>(random());
    }
    for (auto& n : nibbles) n &= 15;
    // Near the zero point, where most values have further bits.
    for (size_t i = 0; round % 2 == 0 && i < count; ++i) q[i] = static_cast<uint8_t>(98 + q[i] % 5);
    const bool is_bf16 = random() % 2 == 0;
    const ResidualRun run = RunOf(kScales[random() % std::size(kScales)], is_bf16,
                                  static_cast<unsigned>(random()) % (is_bf16 ? 9 : 12), 100);
    const std::vector<ResidualRun> runs = Runs(run, count, 1 + random() % 300);
    const auto take = [&](const Kernels& kernels) {
      Symbols out(2 * count);
      const uint64_t limit = 8 * (bits.size() - kReadSlack);
      BitCursor low{bits.data(), 0, limit}, extra{bits.data(), 0, limit};
      kernels.residual16(q.data(), nibbles.data(), runs.data(), runs.size(), &low, &extra,
                         out.data());
      return std::tuple(out, low.position, extra.position);
    };
    ASSERT_EQ(take(scalar_), take(*kernels_));
  }
}

TEST_P(ResidualKernelsTest, IntegersComeBackOrAreListed) {
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    const size_t count = random() % 500;
    const unsigned bits = std::array{2u, 3u, 4u, 8u}[random() % 4];
    const unsigned width = bits == 8 ? static_cast<unsigned>(random()) % 5 : 0;
    Symbols parent(count), q(count), parent_zero(count), zero(count);
    std::vector<float> ratio(count);
    for (size_t i = 0; i < count; ++i) {
      parent[i] = static_cast<uint8_t>(random() % 16);
      q[i] = static_cast<uint8_t>(random() % (1u << bits));
      parent_zero[i] = static_cast<uint8_t>(random() % 16);
      zero[i] = static_cast<uint8_t>(random() % (1u << bits));
      ratio[i] = std::array{17.0f, 0.5f, -3.0f, 0.0f, HUGE_VALF, 1e30f}[random() % 6];
    }
    const IntegerRun run{ratio.data(), parent_zero.data(), zero.data(), bits, width};
    Symbols nibbles(count), low(count), listed(count), again(count), low2(count), listed2(count);
    scalar_.put_integer_residual(parent.data(), q.data(), count, &run, nibbles.data(), low.data(),
                                 listed.data());
    kernels_->put_integer_residual(parent.data(), q.data(), count, &run, again.data(), low2.data(),
                                   listed2.data());
    ASSERT_EQ(nibbles, again);
    ASSERT_EQ(low, low2);
    ASSERT_EQ(listed, listed2);
    Symbols differences(count), differences2(count);
    scalar_.integer_differences(parent.data(), q.data(), count, &run, differences.data());
    kernels_->integer_differences(parent.data(), q.data(), count, &run, differences2.data());
    ASSERT_EQ(differences, differences2);
    Symbols back(count);
    kernels_->integer_residual(parent.data(), nibbles.data(), low.data(), count, &run, back.data());
    for (size_t i = 0; i < count; ++i) {
      const int unit = 1 << width;
      const int difference = static_cast<int8_t>(differences[i]);
      ASSERT_EQ(listed[i], difference < -8 * unit || difference >= 8 * unit);
      ASSERT_EQ((nibbles[i] - 8) * unit + low[i], listed[i] != 0 ? 0 : difference);
      if (listed[i] == 0) {
        ASSERT_EQ(back[i], q[i]) << bits << " " << width;
      }
      ASSERT_LT(back[i], 1u << bits);
    }
  }
}

TEST_P(ResidualKernelsTest, PackedWordsComeBackWhateverTheyAre) {
  std::mt19937 random(7);
  for (const unsigned bits : {2u, 3u, 4u, 8u}) {
    for (const size_t columns : {1u, 5u, 37u, 256u}) {
      const size_t rows = 96;
      Symbols words(rows * columns * bits / 8), q(rows * columns), by_scalar(q.size());
      for (auto& w : words) w = static_cast<uint8_t>(random());
      kernels_->unpack_inputs(words.data(), bits, rows, columns, q.data());
      scalar_.unpack_inputs(words.data(), bits, rows, columns, by_scalar.data());
      ASSERT_EQ(q, by_scalar);
      EXPECT_LT(*std::max_element(q.begin(), q.end()), 1u << bits);
      Symbols back(words.size());
      kernels_->pack_inputs(q.data(), bits, rows, columns, back.data());
      EXPECT_EQ(back, words) << bits;
    }
  }
}

TEST_P(ResidualKernelsTest, ThreeBitsAreAPlainStream) {
  // 0, 1, 2, … 7, 0, 1, … in 96 bits, as the format's own description lays them out.
  const uint32_t words[3] = {0x88fac688, 0xc688fac6, 0xfac688fa};
  uint8_t q[32];
  kernels_->unpack_inputs(reinterpret_cast<const uint8_t*>(words), 3, 32, 1, q);
  for (unsigned i = 0; i < 32; ++i) EXPECT_EQ(q[i], i % 8);
}

TEST_P(ResidualKernelsTest, RowsOfWordsBecomeColumns) {
  for (const size_t rows : {1u, 3u, 4u, 6u, 8u, 16u, 17u}) {
    for (const size_t columns : {1u, 2u, 4u, 7u, 64u}) {
      const size_t in_pitch = 4 * columns + 12, out_pitch = 4 * rows + 7;
      Symbols in(rows * in_pitch), out(columns * out_pitch, 0xaa), expected = out;
      for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint8_t>(i * 31 >> 3);
      for (size_t i = 0; i < 4 * rows * columns; ++i) {
        const size_t r = i / (4 * columns), c = i / 4 % columns;
        expected[c * out_pitch + 4 * r + i % 4] = in[r * in_pitch + 4 * c + i % 4];
      }
      kernels_->transpose_words(in.data(), in_pitch, rows, columns, out.data(), out_pitch);
      ASSERT_EQ(out, expected) << rows << " " << columns;
    }
  }
}

TEST(NibblesTest, ComeBack) {
  std::mt19937 random(6);
  PlaneScratch scratch;
  for (const size_t count : {0, 1, 2, 127, 128, 129, 255, 256, 1000, 5121}) {
    Symbols nibbles(count), back(count);
    for (auto& n : nibbles) n = static_cast<uint8_t>(random() % 5 * (random() % 4));
    std::vector<std::byte> out;
    EncodeNibbles(Effort::kHuffman, nibbles, &scratch, &out);
    out.resize(out.size() + kReadSlack);
    base::ByteReader reader(out);
    ASSERT_TRUE(DecodeNibbles(&reader, &scratch, back).ok()) << count;
    EXPECT_EQ(back, nibbles);
    EXPECT_EQ(reader.remaining(), kReadSlack);
  }
}

}  // namespace
}  // namespace qstore::codec
