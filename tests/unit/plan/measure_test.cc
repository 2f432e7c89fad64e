// SPDX-License-Identifier: Apache-2.0
#include "plan/measure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <utility>
#include <vector>

#include "registry/given.h"
#include "registry/gptq.h"
#include "registry/weights.h"
#include "scheme/gptq/gptq.h"

namespace qstore::plan {
namespace {

using scheme::ObjectSpec;
using testing::GptqParts;
using Bytes = std::vector<std::byte>;

// Counts the bytes that are asked for.
class CountingSource final : public ByteSource {
 public:
  explicit CountingSource(Bytes bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > bytes_.size() || out.size() > bytes_.size() - offset) return Corrupt("too far");
    std::copy_n(bytes_.begin() + static_cast<ptrdiff_t>(offset), out.size(), out.begin());
    read_ += out.size();
    return {};
  }
  uint64_t bytes_read() const { return read_; }

 private:
  Bytes bytes_;
  mutable uint64_t read_ = 0;
};

constexpr uint64_t kInputs = 128;

struct Parent {
  explicit Parent(const GptqParts& parts)
      : shape(parts.shape),
        weights(parts.weights),
        scales(parts.scales),
        zeros(parts.zeros),
        groups(parts.groups) {}
  Candidate ToCandidate(const ObjectSpec& spec) {
    const auto object = [](DType dtype, uint64_t row, const CountingSource& source) {
      return scheme::SpecFor(dtype, std::array{source.size() / row / (DTypeBits(dtype) / 8), row},
                             source.size());
    };
    const ObjectSpec parents[] = {object(DType::kI32, shape.outputs, weights),
                                  object(DType::kF16, shape.outputs, scales),
                                  object(DType::kI32, shape.outputs * shape.bits / 32, zeros),
                                  object(DType::kI32, shape.inputs, groups)};
    const std::byte params[] = {testing::NumberOf(DType::kF16), std::byte{1}};
    bound = testing::BindOrFail(scheme::GptqFloats(), spec, parents, params);
    return {bound.get(), {&weights, &scales, &zeros, &groups}};
  }
  scheme::GptqShape shape;
  CountingSource weights, scales, zeros, groups;
  std::shared_ptr<const scheme::Bound> bound;
};

struct Model {
  explicit Model(uint64_t outputs)
      : high(testing::MakePair(DType::kBF16, outputs, kInputs, 1).high), content(high) {
    for (size_t i = 0; i < kInputs * outputs; ++i) {
      values.push_back(testing::PatternValue(DType::kBF16, high.data() + 2 * i));
    }
    spec = scheme::SpecFor(DType::kBF16, std::array{outputs, kInputs}, high.size());
  }
  Parent Quantized(unsigned bits) const {
    const uint64_t outputs = values.size() / kInputs;
    return Parent(testing::MakeGptq(values, kInputs, outputs, bits, 4, bits));
  }
  Result<Measured> MeasureAll(std::vector<Candidate> candidates) const {
    scheme::ChunkCoder coder;
    return Measure(spec, content, candidates, Level::kBalanced, &coder);
  }
  Bytes high;
  CountingSource content;
  std::vector<float> values;
  ObjectSpec spec;
};

// A sample has 256 of the outputs.
TEST(Measure, CodesNoFurtherSampleOfWhatIsHopeless) {
  const Model model(2048);
  Parent low = model.Quantized(4);
  Parent high = model.Quantized(8);
  const auto measured =
      model.MeasureAll({low.ToCandidate(model.spec), high.ToCandidate(model.spec)});
  ASSERT_TRUE(measured.ok()) << measured.status().ToString();
  EXPECT_LT(measured->given[1], measured->given[0] / 1.5);
  EXPECT_LT(measured->given[1], measured->alone / 1.5);
  EXPECT_EQ(model.content.bytes_read(), model.high.size() / 8);
  EXPECT_EQ(low.weights.bytes_read(), low.weights.size() / 8);
  EXPECT_EQ(high.weights.bytes_read(), high.weights.size() / 8);
}

TEST(Measure, CodesAllSamplesOfWhatIsAlike) {
  const Model model(2048);
  Parent first = model.Quantized(8);
  Parent second = model.Quantized(8);
  const auto measured =
      model.MeasureAll({first.ToCandidate(model.spec), second.ToCandidate(model.spec)});
  ASSERT_TRUE(measured.ok()) << measured.status().ToString();
  EXPECT_EQ(measured->given[0], measured->given[1]);
  EXPECT_EQ(first.weights.bytes_read(), 3 * first.weights.size() / 8);
  EXPECT_EQ(second.weights.bytes_read(), 3 * second.weights.size() / 8);
  EXPECT_EQ(second.scales.bytes_read(), second.scales.size());
}

TEST(Measure, ReadsParentsOfFewOutputsOnce) {
  const Model model(1024);
  Parent first = model.Quantized(8);
  Parent second = model.Quantized(8);
  const auto measured =
      model.MeasureAll({first.ToCandidate(model.spec), second.ToCandidate(model.spec)});
  ASSERT_TRUE(measured.ok()) << measured.status().ToString();
  EXPECT_EQ(measured->given[0], measured->given[1]);
  EXPECT_EQ(first.weights.bytes_read(), first.weights.size());
}

TEST(Measure, ParentsThatTellNothingGainNothing) {
  const Model model(2048);
  Parent other(testing::MakeGptq(Model(2048).values, kInputs, 2048, 8, 4, 1));
  Bytes noise(model.high.size());
  std::mt19937 random(5);
  for (auto& byte : noise) byte = static_cast<std::byte>(random());
  const CountingSource content(noise);
  scheme::ChunkCoder coder;
  const std::array candidates{other.ToCandidate(model.spec)};
  const auto measured = Measure(model.spec, content, candidates, Level::kBalanced, &coder);
  ASSERT_TRUE(measured.ok()) << measured.status().ToString();
  EXPECT_GE(measured->given[0], 0.98 * measured->alone);
}

TEST(CodeChunks, CodesThoseAskedForAsAnArchiveHasThem) {
  const Model model(8192);
  Parent low = model.Quantized(4);
  const Candidate edge = low.ToCandidate(model.spec);
  ASSERT_EQ(model.spec.chunk_count(), 4U);
  const uint64_t chunk_bytes = model.spec.chunk_bytes();
  const std::array<uint64_t, 2> chunks{1, 3};
  scheme::ChunkCoder coder;
  const auto alone =
      CodeChunks(model.spec, model.content, nullptr, Level::kBalanced, chunks, &coder);
  ASSERT_TRUE(alone.ok()) << alone.status().ToString();
  EXPECT_EQ(model.content.bytes_read(), 2 * chunk_bytes);
  for (size_t i = 0; i < chunks.size(); ++i) {
    Bytes payload;
    const auto raw = std::span(model.high).subspan(chunks[i] * chunk_bytes, chunk_bytes);
    const auto codec = coder.Encode(model.spec, Level::kBalanced, chunks[i], raw, {}, &payload);
    EXPECT_EQ((*alone)[i].codec, *codec);
    EXPECT_EQ((*alone)[i].bytes, payload.size());
  }
  const auto given = CodeChunks(model.spec, model.content, &edge, Level::kBalanced, chunks, &coder);
  ASSERT_TRUE(given.ok()) << given.status().ToString();
  EXPECT_EQ((*given)[0].codec, ChunkCodec::kScheme);
  EXPECT_LT((*given)[0].bytes, (*alone)[0].bytes);
  EXPECT_EQ(low.weights.bytes_read(), low.weights.size() / 2);
}

}  // namespace
}  // namespace qstore::plan
