// SPDX-License-Identifier: Apache-2.0
#include "scheme/gpt_oss/gpt_oss.h"

#include <algorithm>
#include <utility>

#include "base/bytes.h"
#include "base/float_convert.h"
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/grid/predicted_bound.h"
#include "scheme/grid/rounding.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kRule = "expert values";
enum Parent : size_t { kBlocks, kScales, kParentCount };
// Codes of a block, which share a scale, and its bytes.
constexpr uint64_t kBlock = 32;
constexpr uint64_t kBlockBytes = kBlock / 2;
// The weights of a block of inputs are held in memory.
constexpr uint64_t kMostOutputs = uint64_t{1} << 20;

// Blocks [experts, outputs, inputs / 32, 16], scales [experts, outputs, inputs / 32], weights
// [experts, inputs, outputs].
struct ExpertShape {
  uint64_t inputs = 0;
  uint64_t outputs = 0;

  uint64_t groups() const { return inputs / kBlock; }
};

struct ExpertScratch {
  std::vector<uint16_t> values;  // Of a block of inputs, by input, then output.
};

class BoundExpertValues final : public PredictedBound {
 public:
  BoundExpertValues(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                    const ExpertShape& shape)
      : PredictedBound(child, parents, kRule), shape_(shape) {
    const Rounding& rounding = RoundingOf(RoundingRule::kMxfp4);
    for (unsigned code = 0; code < 16; ++code) {
      numbers_[code] = NumberOfCode(rounding, static_cast<uint8_t>(code));
    }
    for (unsigned scale = 0; scale < 256; ++scale) {
      factors_[scale] = ValueFactor(rounding, DType::kBF16, scale, 1);
    }
  }

  Take TakeOf(size_t parent) const override {
    return parent == kBlocks ? Take::kRange : Take::kWhole;
  }
  uint64_t ScratchBytes(uint64_t) const override { return 2 * kBlock * shape_.outputs; }

 private:
  // Of one expert the blocks of those inputs, of several all that they have.
  Region NeedOfFirst(const ChunkAt& at) const override {
    const Taken taken = TakenBy(at);
    const uint64_t begin = taken.begin * kBlockBytes;
    const uint64_t run = taken.run * kBlockBytes;
    if (taken.run == shape_.groups()) return {begin, run * taken.runs, 0, 1};
    return {begin, run, shape_.groups() * kBlockBytes, taken.runs};
  }

  // Blocks that a chunk takes: `runs` of `run` blocks each, for outputs that follow one another.
  struct Taken {
    uint64_t begin = 0;
    uint64_t run = 0;
    uint64_t runs = 0;

    // Where a block, counted as FirstBlock does, is among those taken.
    uint64_t PlaceOf(uint64_t place, uint64_t groups) const {
      return (place - begin) / groups * run + (place - begin) % groups;
    }
  };

  Taken TakenBy(const ChunkAt& at) const {
    const uint64_t groups = shape_.groups();
    const uint64_t last = at.first_elem + at.elem_count - 1;
    const uint64_t first_row = at.first_elem / shape_.outputs;
    const uint64_t last_row = last / shape_.outputs;
    const uint64_t block = first_row / kBlock;
    const uint64_t last_block = last_row / kBlock;
    const uint64_t expert = block / groups;
    if (expert != last_block / groups) {
      const uint64_t experts = last_block / groups - expert + 1;
      return {expert * shape_.outputs * groups, groups, experts * shape_.outputs};
    }
    Taken taken{FirstBlock(block), last_block - block + 1, shape_.outputs};
    if (first_row == last_row) {
      taken.runs = at.elem_count;
      taken.begin += at.first_elem % shape_.outputs * groups;
    }
    return taken;
  }

  // A row has the weights of an input; a chunk may begin within one. What a chunk takes is in
  // proportion to its elements: whole blocks of inputs are turned only for those of several rows.
  void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch* scratch,
               std::span<std::byte> out) const override {
    auto* own = scratch->Of<ExpertScratch>();
    const bool by_block = at.elem_count >= kBlock * shape_.outputs;
    if (by_block) own->values.resize(kBlock * shape_.outputs);
    uint64_t known = UINT64_MAX;
    const Taken taken = TakenBy(at);
    for (uint64_t done = 0; done < at.elem_count;) {
      const uint64_t row = (at.first_elem + done) / shape_.outputs;
      const uint64_t column = (at.first_elem + done) % shape_.outputs;
      const uint64_t count = std::min(shape_.outputs - column, at.elem_count - done);
      std::byte* to = out.data() + 2 * done;
      if (by_block) {
        if (row / kBlock != known) Turn(known = row / kBlock, taken, parents, own->values.data());
        const uint16_t* values = own->values.data() + row % kBlock * shape_.outputs + column;
        for (uint64_t i = 0; i < count; ++i) base::StoreLe(to + 2 * i, values[i]);
      } else {
        for (uint64_t i = 0; i < count; ++i) {
          base::StoreLe(to + 2 * i, ValueAt(row, column + i, taken, parents));
        }
      }
      done += count;
    }
  }

  // The first block of an output's inputs that are in `block`, which counts those of all experts;
  // the next output's is groups() further.
  uint64_t FirstBlock(uint64_t block) const {
    return block / shape_.groups() * shape_.outputs * shape_.groups() + block % shape_.groups();
  }

  uint16_t ValueAt(uint64_t row, uint64_t output, const Taken& taken,
                   std::span<const ParentContent> parents) const {
    const uint64_t place = FirstBlock(row / kBlock) + output * shape_.groups();
    const uint64_t codes = taken.PlaceOf(place, shape_.groups()) * kBlockBytes;
    const auto byte = static_cast<unsigned>(parents[kBlocks].bytes[codes + row % kBlock / 2]);
    const unsigned code = row % 2 == 0 ? byte & 15 : byte >> 4;
    const auto scale = static_cast<uint8_t>(parents[kScales].bytes[place]);
    return base::FloatToBf16(numbers_[code] * factors_[scale]);
  }

  void Turn(uint64_t block, const Taken& taken, std::span<const ParentContent> parents,
            uint16_t* values) const {
    const uint64_t first = FirstBlock(block);
    const uint64_t first_taken = taken.PlaceOf(first, shape_.groups());
    for (uint64_t o = 0; o < shape_.outputs; ++o) {
      const uint64_t place = first + o * shape_.groups();
      const float factor = factors_[static_cast<uint8_t>(parents[kScales].bytes[place])];
      const std::byte* codes =
          parents[kBlocks].bytes.data() + (first_taken + o * taken.run) * kBlockBytes;
      for (uint64_t b = 0; b < kBlockBytes; ++b) {
        const auto byte = static_cast<unsigned>(codes[b]);
        uint16_t* to = values + 2 * b * shape_.outputs + o;
        to[0] = base::FloatToBf16(numbers_[byte & 15] * factor);
        to[shape_.outputs] = base::FloatToBf16(numbers_[byte >> 4] * factor);
      }
    }
  }

  ExpertShape shape_;
  float numbers_[16];
  float factors_[256];
};

// Parents: blocks, scales. Parameters: inputs and outputs.
class ExpertValuesScheme final : public Scheme {
 public:
  SchemeId id() const override { return 13; }
  std::string_view name() const override { return "expert-values"; }

  void Detect(const TensorDesc& target, const TensorTable&, const TensorTable& other,
              std::vector<Edge>* edges) const override {
    if (target.dtype != DType::kBF16 || target.shape.size() != 3) return;
    const auto blocks = FindIn(other, target.name, "_blocks");
    const auto scales = FindIn(other, target.name, "_scales");
    if (!blocks || !scales) return;
    const TensorDesc codes = other.tensor(*blocks);
    const uint64_t wanted[] = {target.shape[0], target.shape[2], target.shape[1] / kBlock,
                               kBlockBytes};
    if (codes.dtype != DType::kU8 || other.tensor(*scales).dtype != DType::kU8 ||
        target.shape[1] % kBlock != 0 || target.shape[2] > kMostOutputs ||
        !std::ranges::equal(codes.shape, wanted)) {
      return;
    }
    Edge edge{this, {}, {{false, *blocks}, {false, *scales}}};
    base::ByteWriter writer(&edge.params);
    writer.Varint(target.shape[1]);
    writer.Varint(target.shape[2]);
    edges->push_back(std::move(edge));
  }

  Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                            std::span<const ObjectSpec> parents,
                                            std::span<const std::byte> params) const override {
    QSTORE_TRY(CheckCounts(parents, kParentCount, params, params.size()));
    base::ByteReader reader(params);
    ExpertShape shape;
    shape.inputs = reader.Varint();
    shape.outputs = reader.Varint();
    constexpr uint64_t kMost = UINT32_MAX;
    if (!reader.ok() || reader.remaining() != 0 || shape.inputs == 0 || shape.outputs == 0 ||
        shape.inputs > kMost || shape.outputs > kMostOutputs || shape.inputs % kBlock != 0) {
      return Corrupt("expert values: parameters out of range");
    }
    QSTORE_TRY(CheckSmall(parents[kScales]));
    // Else a few weights of two inputs would take a block of every output.
    if (child.chunk_elems < shape.outputs && shape.outputs % child.chunk_elems != 0) {
      return Corrupt("expert values: a chunk begins within a row and ends in another");
    }
    const uint64_t count = child.elem_count();
    if (child.dtype != DType::kBF16 || count % (shape.inputs * shape.outputs) != 0) {
      return Corrupt("expert values: the weights are no BF16 of its shape");
    }
    if (parents[kBlocks].byte_size != count / 2 || parents[kScales].byte_size != count / kBlock) {
      return Corrupt("expert values: codes are not half a byte, scales not one for 32 weights");
    }
    return std::unique_ptr<const Bound>(new BoundExpertValues(child, parents, shape));
  }
};

}  // namespace

const Scheme& ExpertValues() {
  static const ExpertValuesScheme kScheme;
  return kScheme;
}

}  // namespace qstore::scheme
