// SPDX-License-Identifier: Apache-2.0
#include "codec/kernels/kernels.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "codec/huffman.h"
#include "scheme/llm_int8/int8_grid.h"

namespace qstore::codec {
namespace {

using Symbols = std::vector<uint8_t>;

Symbols Noise(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  Symbols out(count);
  for (auto& s : out) s = static_cast<uint8_t>(random());
  return out;
}

std::vector<std::string> NamesOnThisMachine() {
  std::vector<std::string> names;
  for (const char* name : {"scalar", "avx2", "avx2_shuffles", "avx512"}) {
    if (KernelsByName(name) != nullptr) names.emplace_back(name);
  }
  return names;
}

// Every instruction set of this machine against the definition.
class KernelsTest : public ::testing::TestWithParam<std::string> {
 protected:
  const Kernels& scalar_ = *KernelsByName("scalar");
  const Kernels* kernels_ = KernelsByName(GetParam().c_str());
};

INSTANTIATE_TEST_SUITE_P(Isa, KernelsTest, ::testing::ValuesIn(NamesOnThisMachine()),
                         [](const auto& test) { return test.param; });

TEST_P(KernelsTest, Nibbles) {
  for (size_t count : {0, 1, 2, 127, 128, 129, 255, 256, 1000, 5121}) {
    const Symbols in = Noise(count, 1);
    Symbols high(count), low(count), high2(count), low2(count), out(count);
    scalar_.split_nibbles(in.data(), count, high.data(), low.data());
    kernels_->split_nibbles(in.data(), count, high2.data(), low2.data());
    EXPECT_EQ(high, high2);
    EXPECT_EQ(low, low2);
    kernels_->merge_nibbles(high.data(), low.data(), count, out.data());
    EXPECT_EQ(out, in);
  }
}

TEST_P(KernelsTest, Unpack) {
  for (unsigned width = 1; width < 8; ++width) {
    for (size_t count : {1, 7, 8, 9, 64, 1001}) {
      const Symbols in = Noise(count * width / 8 + 1 + kReadSlack, width);
      Symbols a(count), b(count);
      scalar_.unpack(in.data(), width, count, a.data());
      kernels_->unpack(in.data(), width, count, b.data());
      EXPECT_EQ(a, b) << width << " " << count;
      Symbols packed(in.size()), packed2(in.size());
      scalar_.pack(a.data(), width, count, packed.data());
      kernels_->pack(a.data(), width, count, packed2.data());
      packed.resize((count * width + 7) / 8);
      packed2.resize(packed.size());
      EXPECT_EQ(packed, packed2);
      Symbols again(count);
      packed.resize(in.size());
      kernels_->unpack(packed.data(), width, count, again.data());
      EXPECT_EQ(again, a);
    }
  }
}

TEST_P(KernelsTest, MergeFloats) {
  const size_t count = 1003;
  const Symbols s = Noise(count, 1), r0 = Noise(count, 2), r1 = Noise(count, 3),
                r2 = Noise(count, 4);
  for (unsigned base : {0u, 100u, 800u}) {
    for (unsigned shift : {4u, 6u, 7u}) {
      Symbols a(2 * count), b(2 * count);
      scalar_.merge_float16(s.data(), r0.data(), count, base, shift, a.data());
      kernels_->merge_float16(s.data(), r0.data(), count, base, shift, b.data());
      EXPECT_EQ(a, b);
    }
    for (unsigned shift : {4u, 7u}) {
      const Symbols values = Noise(2 * count, 9);
      Symbols a(count), b(count), c(count), d(count);
      scalar_.split_float16(values.data(), count, base, shift, a.data(), b.data());
      kernels_->split_float16(values.data(), count, base, shift, c.data(), d.data());
      EXPECT_EQ(a, c);
      EXPECT_EQ(b, d);
    }
    for (unsigned shift : {20u, 23u}) {
      Symbols a(4 * count), b(4 * count);
      scalar_.merge_float32(s.data(), r0.data(), r1.data(), r2.data(), count, base, shift,
                            a.data());
      kernels_->merge_float32(s.data(), r0.data(), r1.data(), r2.data(), count, base, shift,
                              b.data());
      EXPECT_EQ(a, b);
    }
  }
}

TEST_P(KernelsTest, Huffman) {
  std::mt19937 random(5);
  for (int round = 0; round < 20; ++round) {
    Histogram counts{};
    for (int i = 0; i < 3 + round * 12; ++i) counts[random() % 256] += 1u << (random() % 12);
    counts[1] += 1;
    counts[2] += 1;
    DecodeTable table;
    MakeDecodeTable(MakeCodeLengths(counts), &table);
    // Any bits are a code; positions beyond the data are clamped alike.
    const Symbols data = Noise(3000, static_cast<uint32_t>(round));
    const size_t rounds = 40;
    std::vector<uint32_t> at(kHuffmanStreams), at2;
    const uint32_t most = round % 2 == 0 ? 3000 * 8 : 3000;  // Then none reaches the end.
    for (auto& p : at) p = static_cast<uint32_t>(random()) % most;
    at2 = at;
    Symbols a(rounds * 128), b(rounds * 128);
    scalar_.huffman32(table.data(), data.data(), data.size(), at.data(), rounds, a.data());
    kernels_->huffman32(table.data(), data.data(), data.size(), at2.data(), rounds, b.data());
    EXPECT_EQ(a, b);
    EXPECT_EQ(at, at2);
  }
}

// Any entries, states and words: what comes of damaged streams is the same too.
TEST_P(KernelsTest, Rans) {
  std::mt19937 random(8);
  constexpr size_t kTables = 3;
  std::vector<uint32_t> tables(kTables << kRansTableBits);
  for (const size_t rounds : {0, 1, 2, 33, 500}) {
    for (auto& entry : tables) entry = static_cast<uint32_t>(random());
    Symbols contexts(rounds * kRansStates);
    for (auto& context : contexts) context = static_cast<uint8_t>(random() % kTables);
    const Symbols words = Noise(2 * rounds * kRansStates + kRansReadAhead, 4);
    std::array<uint32_t, kRansStates> first;
    for (auto& state : first) state = static_cast<uint32_t>(random()) >> random() % 20;
    for (const auto member : {&Kernels::rans_rounds, &Kernels::rans_symbols}) {
      auto states = first;
      auto states2 = first;
      Symbols a(rounds * kRansStates), b(rounds * kRansStates);
      const size_t taken = (scalar_.*member)(tables.data(), contexts.data(), words.data(), rounds,
                                             states.data(), a.data());
      EXPECT_EQ((kernels_->*member)(tables.data(), contexts.data(), words.data(), rounds,
                                    states2.data(), b.data()),
                taken);
      EXPECT_EQ(a, b);
      EXPECT_EQ(states, states2);
    }
  }
}

// Frequencies that add up to the scale, of which some are 1, and one may be all.
TEST_P(KernelsTest, PutRans) {
  std::mt19937 random(9);
  constexpr size_t kContexts = 4;
  constexpr uint32_t kScale = 1u << kRansTableBits;
  for (const size_t rounds : {0, 1, 2, 33, 500}) {
    std::vector<RansCode> codes(256 * kContexts);
    std::vector<uint32_t> used(kContexts);
    for (size_t c = 0; c < kContexts; ++c) {
      for (uint32_t start = 0; start < kScale;) {
        const uint32_t left = kScale - start;
        const uint32_t some = 1 + static_cast<uint32_t>(random()) % (random() % 2 == 0 ? 2 : 900);
        const uint32_t frequency = c == 0 || used[c] == 255 ? left : std::min(left, some);
        const uint64_t reciprocal = frequency == 1 ? ~uint64_t{0} : ~uint64_t{0} / frequency + 1;
        codes[256 * c + used[c]++] = {reciprocal, frequency == 1 ? start + kScale - 1 : start,
                                      start | (frequency - 1) << kRansTableBits};
        start += frequency;
      }
    }
    for (const bool each : {false, true}) {
      Symbols contexts(rounds * kRansStates), symbols(rounds * kRansStates);
      for (size_t i = 0; i < contexts.size(); ++i) {
        contexts[i] = static_cast<uint8_t>(random() % kContexts);
        const size_t context = contexts[each ? i : i / kRansStates];
        symbols[i] = static_cast<uint8_t>(random() % used[context]);
      }
      const auto member = each ? &Kernels::put_rans_symbols : &Kernels::put_rans_rounds;
      std::array<uint32_t, kRansStates> states;
      for (auto& state : states) state = kRansLow + static_cast<uint32_t>(random()) % 0xffff0000;
      auto states2 = states;
      std::vector<uint16_t> a(symbols.size() + kRansWordSlack), b(a.size());
      const size_t words = (scalar_.*member)(codes.data(), contexts.data(), symbols.data(), rounds,
                                             states.data(), a.data() + a.size());
      ASSERT_EQ((kernels_->*member)(codes.data(), contexts.data(), symbols.data(), rounds,
                                    states2.data(), b.data() + b.size()),
                words);
      EXPECT_EQ(states, states2);
      const auto of = static_cast<ptrdiff_t>(words);
      EXPECT_TRUE(std::equal(a.end() - of, a.end(), b.end() - of));
    }
  }
}

TEST_P(KernelsTest, PutHuffman32) {
  std::mt19937 random(6);
  for (const size_t rounds : {0, 1, 63, 64, 65, 200}) {
    std::array<uint32_t, 256> codes;
    for (auto& code : codes) {
      const uint32_t length = 1 + static_cast<uint32_t>(random()) % kMaxCodeLength;
      code = (static_cast<uint32_t>(random()) % (1u << length)) << 8 | length;
    }
    const Symbols symbols = Noise(rounds * 128, 3);
    const size_t room = rounds * 6 + 16;
    Symbols a(32 * room), b(32 * room);
    std::array<BitSink, 32> sinks1, sinks2;
    for (size_t s = 0; s < 32; ++s)
      sinks1[s] = {&a[s * room], s % 8}, sinks2[s] = {&b[s * room], s % 8};
    scalar_.put_huffman32(codes.data(), symbols.data(), rounds, sinks1.data());
    kernels_->put_huffman32(codes.data(), symbols.data(), rounds, sinks2.data());
    for (size_t s = 0; s < 32; ++s) {
      ASSERT_EQ(sinks1[s].position, sinks2[s].position);
      const size_t size = (sinks1[s].position + 7) / 8;
      ASSERT_TRUE(std::equal(sinks1[s].bytes, sinks1[s].bytes + size, sinks2[s].bytes));
    }
  }
}

// A table with bins of every size that its lanes hold; sometimes almost all take as many bits as
// there may be.
template <class Table>
Table RandomTable(unsigned max_width, uint32_t seed) {
  std::mt19937 random(seed);
  Table table{};
  for (size_t k = 0; k < kBinCount; ++k) {
    const bool is_widest = seed % 6 == 5;
    const unsigned width =
        is_widest ? max_width : static_cast<unsigned>(random()) % (max_width + 1);
    const uint32_t more = static_cast<uint32_t>(random()) % (1u << width);
    const uint32_t count = (1u << width) + (is_widest ? (1u << width) - 1 : more);
    table.width[k] = static_cast<std::remove_reference_t<decltype(table.width[0])>>(width);
    table.threshold[k] =
        static_cast<std::remove_reference_t<decltype(table.width[0])>>((2u << width) - count);
    table.first[k] = static_cast<uint16_t>(random() % 0x7f00);
    if (random() % 20 == 0) table.first[k] = kWideBin, table.width[k] = 0, table.threshold[k] = 1;
  }
  return table;
}

template <class Table, class Scalar, class Kernel>
void CompareBins(unsigned max_width, uint32_t round, Scalar scalar, Kernel kernel) {
  std::mt19937 random(round);
  {
    const auto table = RandomTable<Table>(max_width, round);
    const size_t count = random() % (round % 7 == 0 ? 3000 : 400);
    const Symbols q = Noise(count, round);
    const Symbols bits = Noise(8000, round + 100);
    const uint64_t start = random() % 64;
    // Sometimes the streams end before the row does.
    const uint64_t limit = start + random() % (round % 7 == 0 ? 30000 : 6000);
    BitCursor floor1{bits.data(), start, limit}, extra1{bits.data() + 4000, start, limit / 4};
    BitCursor floor2 = floor1, extra2 = extra1;
    Symbols a(2 * count), b(2 * count);
    scalar(q.data(), count, &table, &floor1, &extra1, a.data());
    kernel(q.data(), count, &table, &floor2, &extra2, b.data());
    ASSERT_EQ(a, b) << round;
    ASSERT_EQ(floor1.position, floor2.position);
    ASSERT_EQ(extra1.position, extra2.position);
  }
}

// Values for the wide bins of `count` elements: sometimes fewer than those.
struct WideValues {
  WideValues(size_t most, uint32_t seed) : bytes(Noise(2 * most, seed)) {
    cursor = {bytes.data(), 0, most};
    bytes.resize(2 * most + kWideSlack);
    cursor.values = bytes.data();
  }
  Symbols bytes;
  WideCursor cursor;
};

TEST_P(KernelsTest, Bins8) {
  for (uint32_t round = 0; round < 60; ++round) {
    const unsigned shift = round % 4;
    WideValues wide(round % 5 == 0 ? round : 400, round);
    const auto run = [&](const Kernels& kernels, WideCursor* cursor) {
      return [&kernels, cursor, shift](const uint8_t* q, size_t count, const BinTable8* table,
                                       BitCursor* floor, BitCursor* extra, uint8_t* out) {
        kernels.bins8(q, count, table, shift, floor, extra, cursor, out);
      };
    };
    WideCursor a = wide.cursor, b = wide.cursor;
    CompareBins<BinTable8>(7, round, run(scalar_, &a), run(*kernels_, &b));
    ASSERT_EQ(a.used, b.used);
  }
}

// The table that the bins make which FindBins finds one by one.
BinTable8 TableOf(float absmax, unsigned shift) {
  uint32_t first[scheme::kMaxMagnitude + 2];
  EXPECT_TRUE(scheme::Int8Grid().FindBins({DType::kBF16, false}, absmax, first));
  BinTable8 table{};
  for (size_t k = 0; k < kBinCount; ++k) {
    uint32_t count = 0;
    for (uint32_t p = first[k]; p < first[k + 1]; ++p) count += p % (1u << shift) == 0 ? 1 : 0;
    const bool is_wide = k == 0 || count == 0 || count > 255;
    const uint32_t codes = is_wide ? 1 : count;
    const auto width = static_cast<unsigned>(std::bit_width(codes)) - 1;
    table.width[k] = static_cast<uint8_t>(width);
    table.threshold[k] = static_cast<uint8_t>((2u << width) - codes);
    const uint32_t low = (first[k] + (1u << shift) - 1) >> shift;
    table.first[k] = is_wide ? kWideBin : static_cast<uint16_t>(low);
  }
  return table;
}

TEST_P(KernelsTest, Bf16Bins) {
  std::mt19937 random(4);
  size_t found = 0;
  for (uint32_t round = 0; round < 4000; ++round) {
    const auto exponent = static_cast<int>(random() % (round % 2 == 0 ? 228 : 20));
    const int lowest = round % 2 == 0 ? -100 : -10;
    const float absmax = std::ldexp(1.0f + static_cast<float>(random() % (1u << 23)) * 0x1p-23f,
                                    lowest + std::min(exponent, 227));
    const unsigned shift = round % 8;
    BinTable8 table{};
    const bool is_found = kernels_->bf16_bins(absmax, shift, &table);
    BinTable8 scalar{};
    ASSERT_EQ(scalar_.bf16_bins(absmax, shift, &scalar), is_found) << absmax;
    if (!is_found) continue;
    ++found;
    const BinTable8 expected = TableOf(absmax, shift);
    ASSERT_EQ(std::memcmp(&table, &expected, sizeof(table)), 0) << absmax << " " << shift;
    ASSERT_EQ(std::memcmp(&scalar, &expected, sizeof(table)), 0) << absmax << " " << shift;
  }
  // All but rows at the ends of the range.
  EXPECT_GT(found, size_t{3900});
}

TEST_P(KernelsTest, FindPlaces) {
  std::mt19937 random(2);
  for (uint32_t round = 0; round < 100; ++round) {
    const size_t count = random() % 4000;
    Symbols words = Noise(2 * count + 2, round);
    // Sometimes the same word everywhere, which is a place or not.
    if (round % 4 == 0) {
      for (size_t i = 2; i < words.size(); ++i) words[i] = words[i - 2];
    }
    const size_t most = round % 3 == 0 ? random() % 5 : count;
    std::vector<uint32_t> a(most + kPlaceSlack), b(most + kPlaceSlack);
    const size_t found = scalar_.find_places(words.data(), count, most, a.data());
    ASSERT_EQ(kernels_->find_places(words.data(), count, most, b.data()), found);
    a.resize(std::min(found, most));
    b.resize(a.size());
    ASSERT_EQ(a, b);
  }
}

TEST_P(KernelsTest, Finish16) {
  std::mt19937 random(8);
  for (uint32_t round = 0; round < 60; ++round) {
    const auto table = RandomTable<BinTable8>(7, round);
    const size_t count = random() % (round % 7 == 0 ? 3000 : 400);
    WideValues wide(round % 5 == 0 ? round : 400, round);
    WideCursor wide1 = wide.cursor, wide2 = wide.cursor;
    const Symbols q = Noise(count, round), index = Noise(2 * count, round + 1);
    Symbols a(2 * count), b(2 * count);
    scalar_.finish16(q.data(), index.data(), count, table.first, round % 4, &wide1, a.data());
    kernels_->finish16(q.data(), index.data(), count, table.first, round % 4, &wide2, b.data());
    ASSERT_EQ(a, b) << round;
    ASSERT_EQ(wide1.used, wide2.used);
  }
}

void PutBins(const Kernels& kernels, const Symbols& q, const Symbols& values, unsigned shift,
             const BinTable8& table, BinSinks* sinks) {
  kernels.put_bins8(q.data(), values.data(), q.size(), shift, 7, &table, sinks);
}
void PutBins(const Kernels& kernels, const Symbols& q, const Symbols& values, unsigned shift,
             const BinTable16& table, BinSinks* sinks) {
  uint16_t first[kBinCount];
  std::copy_n(table.first, kBinCount, first);
  kernels.put_bins16(q.data(), values.data(), q.size(), shift, 7, &table, first, sinks);
}

template <class Table>
void ComparePutBins(unsigned max_width, uint32_t round, const Kernels& scalar,
                    const Kernels& kernels) {
  std::mt19937 random(round);
  const auto table = RandomTable<Table>(max_width, round);
  const size_t count = random() % (round % 7 == 0 ? 3000 : 400);
  const unsigned shift = round % 3;
  const Symbols q = Noise(count, round);
  Symbols values = Noise(2 * count, round + 1);
  // Mostly members of their bins.
  for (size_t i = 0; i < count; ++i) {
    const unsigned bin = (q[i] & 0x80 ? 256u - q[i] : q[i]) & 0x7f;
    const unsigned codes = (2u << table.width[bin]) - table.threshold[bin];
    const unsigned pattern = (table.first[bin] + static_cast<unsigned>(random()) % codes) << shift;
    if (random() % 16 == 0 || pattern > 0x7fff) continue;
    values[2 * i] = static_cast<uint8_t>(pattern);
    values[2 * i + 1] = static_cast<uint8_t>(pattern >> 8 | (q[i] & 0x80));
  }
  struct Output {
    Symbols floor = Symbols(8000), extra = Symbols(8000), wide = Symbols(8000);
    std::vector<uint32_t> listed = std::vector<uint32_t>(4000);
    BinSinks sinks{{floor.data(), 0}, {extra.data(), 0}, wide.data(), 0, listed.data(), 0};
  } a, b;
  PutBins(scalar, q, values, shift, table, &a.sinks);
  PutBins(kernels, q, values, shift, table, &b.sinks);
  ASSERT_EQ(a.sinks.floor_bits.position, b.sinks.floor_bits.position);
  ASSERT_EQ(a.sinks.extra_bits.position, b.sinks.extra_bits.position);
  ASSERT_EQ(a.sinks.wide_count, b.sinks.wide_count);
  ASSERT_EQ(a.sinks.listed_count, b.sinks.listed_count);
  // What lies behind the last byte and value is anything.
  const auto whole = [](uint64_t bits) { return static_cast<size_t>((bits + 7) / 8); };
  a.floor.resize(whole(a.sinks.floor_bits.position));
  b.floor.resize(whole(b.sinks.floor_bits.position));
  ASSERT_EQ(a.floor, b.floor);
  a.extra.resize(whole(a.sinks.extra_bits.position));
  b.extra.resize(whole(b.sinks.extra_bits.position));
  ASSERT_EQ(a.extra, b.extra);
  a.wide.resize(2 * a.sinks.wide_count);
  b.wide.resize(2 * b.sinks.wide_count);
  ASSERT_EQ(a.wide, b.wide);
  ASSERT_EQ(a.listed, b.listed);
}

TEST_P(KernelsTest, PutBins) {
  for (uint32_t round = 0; round < 60; ++round) {
    ComparePutBins<BinTable8>(7, round, scalar_, *kernels_);
    ComparePutBins<BinTable16>(13, round, scalar_, *kernels_);
  }
}

TEST_P(KernelsTest, Bins16) {
  for (uint32_t round = 0; round < 60; ++round) {
    CompareBins<BinTable16>(13, round, scalar_.bins16, kernels_->bins16);
  }
}

}  // namespace
}  // namespace qstore::codec
