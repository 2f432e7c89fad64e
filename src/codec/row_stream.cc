// SPDX-License-Identifier: Apache-2.0
#include "codec/row_stream.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/status_macros.h"
#include "codec/row_code.h"
#include "codec/row_promise.h"
#include "codec/row_shape.h"

namespace qstore::codec {
namespace {

using base::ByteReader;
using base::ByteWriter;

constexpr size_t kMaxWidth = 1024;
// Wider matrices gain less than they cost.
constexpr size_t kUsualWidth = 512;
// Of ridges by the width of a block; which is best depends on how much the rows have in common. The
// first lies between the others.
constexpr double kRidges[] = {0.5, 0.125, 2};
// The code's state lies in [kLow, kLow << 32).
constexpr uint64_t kLow = uint64_t{1} << 32;
// Deviations are at least this share of the unit.
constexpr float kLeastDeviation = 0x1p-12f;
constexpr uint64_t kMaxRidge = 1 << 20;
constexpr float kMinUnit = 0x1p-60f;
constexpr float kMaxUnit = 0x1p60f;

struct Header {
  bool across = false;  // Columns of the matrix are the rows of the model.
  size_t width = 0;     // Places in a row of the model; a longer one is cut into blocks.
  uint32_t ridge = 0;
  float unit = 1;
};

RowLayout LayoutOf(const Header& header, const RowShape& shape) {
  if (header.across) return {shape.rows, shape.columns, shape.columns, 1, header.width};
  return {shape.columns, 1, shape.rows, shape.columns, header.width};
}

// Calls `row(index)` with the elements of each row of the model, and `block(width)` before those of
// each block.
template <class Block, class Row>
void ForEachRow(const Header& header, const RowShape& shape, const Block& block, const Row& row) {
  const RowLayout at = LayoutOf(header, shape);
  for (size_t begin = 0; begin < at.places; begin += at.width) {
    const size_t width = std::min(at.width, at.places - begin);
    block(width);
    for (size_t r = 0; r < at.rows; ++r) {
      row(r * at.row_step + begin * at.place_step, at.place_step, width);
    }
  }
}

// What the model expects, in the order of coding.
void Expect(const RowSymbols& symbols, const RowShape& shape, const Header& header,
            RowScratch* scratch) {
  RowModel& model = scratch->model;
  const size_t count = scratch->symbols.size();
  scratch->coded.resize(count);
  scratch->means.resize(count);
  scratch->deviations.resize(count);
  size_t next = 0;
  ForEachRow(
      header, shape,
      [&](size_t width) { model.Reset(width, static_cast<float>(header.ridge), header.unit); },
      [&](size_t at, size_t step, size_t width) {
        model.Begin();
        for (size_t i = 0; i < width; ++i, at += step, ++next) {
          const uint16_t symbol = scratch->symbols[at];
          scratch->coded[next] = symbol;
          scratch->means[next] = model.mean();
          scratch->deviations[next] = model.deviation();
          model.Put(symbols.center(symbol));
        }
        model.End();
      });
}

constexpr float kStepsPerDeviation = 8;
constexpr float kLeastSteps = 0x1p-20f;
// Of kLeastSteps, their product is still a normal number.
constexpr size_t kFactors = 32;

struct Expected {
  RowShapeCount count;
  double bits = 0;
};

// What the code will take, nearly.
Expected Judge(const RowSymbols& symbols, float least, const RowScratch& scratch) {
  Expected expected;
  const size_t count = scratch.coded.size();
  double taken = 1;  // A product has the sum of its factors' logarithms.
  for (size_t i = 0; i < count; ++i) {
    const uint32_t s = std::clamp<uint32_t>(scratch.coded[i], 1, symbols.size() - 2);
    const auto place = RowCode::At(scratch.means[i], scratch.deviations[i], least);
    const float from = (symbols.lower(s) - place.mean) * place.steps;
    const float to = (symbols.lower(s + 1) - place.mean) * place.steps;
    expected.count.Add(from, to);
    // A density of 1 a step, over what the symbol takes of it: no symbol is left without any.
    taken *= std::clamp(to - from, kLeastSteps, kStepsPerDeviation);
    if (i % kFactors == kFactors - 1) {
      expected.bits -= std::log2(taken);
      taken = 1;
    }
  }
  expected.bits += expected.count.bits() - std::log2(taken);
  return expected;
}

uint32_t RidgeOf(double share, size_t width) {
  return std::max(1u, static_cast<uint32_t>(share * static_cast<double>(width)));
}

float RootMeanSquare(const RowSymbols& symbols, const std::vector<uint16_t>& of) {
  double squares = 0;
  for (const uint16_t s : of) squares += double{symbols.center(s)} * symbols.center(s);
  const double mean = of.empty() ? 0 : squares / static_cast<double>(of.size());
  return std::clamp(static_cast<float>(std::sqrt(mean)), kMinUnit, kMaxUnit);
}

void PutStream(const RowSymbols& symbols, const Header& header, const RowShapeWeights& weights,
               const RowScratch& scratch, std::vector<std::byte>* out) {
  ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(header.across));
  writer.Varint(header.width);
  writer.Varint(header.ridge);
  writer.Fixed(std::bit_cast<uint32_t>(header.unit));
  for (const uint16_t weight : weights) writer.Varint(weight);

  const RowCode code(symbols, weights);
  const float least = header.unit * kLeastDeviation;
  uint64_t state = kLow;
  std::vector<uint32_t> words;
  for (size_t i = scratch.coded.size(); i-- > 0;) {
    const auto place = RowCode::At(scratch.means[i], scratch.deviations[i], least);
    const uint32_t start = code.Start(place, scratch.coded[i]);
    const uint64_t frequency = code.Start(place, scratch.coded[i] + 1) - start;
    if (state >= frequency << (64 - kRowScaleBits)) {
      words.push_back(static_cast<uint32_t>(state));
      state >>= 32;
    }
    // Every symbol has a slot or more. NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
    state = ((state / frequency) << kRowScaleBits) + state % frequency + start;
  }
  writer.Fixed(state);
  writer.Varint(words.size());
  const size_t begin = out->size();
  out->resize(begin + 4 * words.size());
  for (size_t w = 0; w < words.size(); ++w) {
    base::StoreLe(out->data() + begin + 4 * w, words[words.size() - 1 - w]);
  }
}

Result<Header> ReadHeader(ByteReader* payload) {
  Header header;
  const unsigned across = payload->Fixed<uint8_t>();
  header.across = across == 1;
  header.width = payload->Varint();
  const uint64_t ridge = payload->Varint();
  header.unit = std::bit_cast<float>(payload->Fixed<uint32_t>());
  if (!payload->ok() || across > 1 || header.width < 1 || header.width > kMaxWidth || ridge < 1 ||
      ridge > kMaxRidge || !(header.unit >= kMinUnit && header.unit <= kMaxUnit)) {
    return Corrupt("rows: parameter of the model out of range");
  }
  header.ridge = static_cast<uint32_t>(ridge);
  return header;
}

Result<RowShapeWeights> ReadWeights(ByteReader* payload) {
  RowShapeWeights weights;
  uint64_t sum = 0;
  for (uint16_t& weight : weights) {
    const uint64_t value = payload->Varint();
    if (value > kShapeSum) return Corrupt("rows: weight of a step out of range");
    weight = static_cast<uint16_t>(value);
    sum += value;
  }
  if (!payload->ok() || sum != kShapeSum) return Corrupt("rows: weights do not sum to 2^15");
  return weights;
}

}  // namespace

bool EncodeRowStream(const RowSymbols& symbols, const RowShape& shape, size_t limit,
                     RowScratch* scratch, std::vector<std::byte>* out) {
  Header best;
  best.across = shape.rows < shape.columns;
  const size_t places = std::min(shape.rows, shape.columns);
  const size_t blocks = (places + kUsualWidth - 1) / kUsualWidth;
  best.width = (places + blocks - 1) / blocks;
  const auto limit_bits = 8.0 * static_cast<double>(limit);
  if (PromiseBits(symbols, scratch->symbols, LayoutOf(best, shape), RidgeOf(kRidges[0], best.width),
                  &scratch->sample) > limit_bits) {
    return false;
  }
  best.unit = RootMeanSquare(symbols, scratch->symbols);
  const float least = best.unit * kLeastDeviation;
  Expected least_bits;
  for (const double ridge : kRidges) {
    Header header = best;
    header.ridge = RidgeOf(ridge, best.width);
    Expect(symbols, shape, header, scratch);
    const Expected expected = Judge(symbols, least, *scratch);
    const bool first = best.ridge == 0;
    if (first && !(expected.bits < limit_bits)) return false;
    if (first || expected.bits < least_bits.bits) {
      best = header;
      least_bits = expected;
      std::swap(scratch->means, scratch->best_means);
      std::swap(scratch->deviations, scratch->best_deviations);
      // What pays on one side of the first does not on the other.
      if (!first) break;
    }
  }
  std::swap(scratch->means, scratch->best_means);
  std::swap(scratch->deviations, scratch->best_deviations);
  PutStream(symbols, best, least_bits.count.Weights(), *scratch, out);
  return true;
}

Status DecodeRowStream(const RowSymbols& symbols, const RowShape& shape, ByteReader* payload,
                       RowScratch* scratch) {
  QSTORE_ASSIGN(const Header header, ReadHeader(payload));
  QSTORE_ASSIGN(const RowShapeWeights weights, ReadWeights(payload));
  uint64_t state = payload->Fixed<uint64_t>();
  const uint64_t word_count = payload->Varint();
  if (!payload->ok() || state < kLow || word_count > payload->remaining() / 4)
    return Corrupt("rows: words missing");
  const std::byte* words = payload->Bytes(4 * word_count).data();
  const std::byte* const end = words + 4 * word_count;

  const RowCode code(symbols, weights);
  const float least = header.unit * kLeastDeviation;
  RowModel& model = scratch->model;
  scratch->symbols.resize(shape.rows * shape.columns);
  bool missing = false;
  ForEachRow(
      header, shape,
      [&](size_t width) { model.Reset(width, static_cast<float>(header.ridge), header.unit); },
      [&](size_t at, size_t step, size_t width) {
        if (missing) return;
        model.Begin();
        for (size_t i = 0; i < width; ++i, at += step) {
          const auto place = RowCode::At(model.mean(), model.deviation(), least);
          const auto slot = static_cast<uint32_t>(state & (kRowScale - 1));
          const uint32_t symbol = code.Find(place, slot);
          const uint32_t start = code.Start(place, symbol);
          const uint64_t frequency = code.Start(place, symbol + 1) - start;
          state = frequency * (state >> kRowScaleBits) + slot - start;
          if (state < kLow) {
            if (words == end) {
              missing = true;
              return;
            }
            state = state << 32 | base::LoadLe<uint32_t>(words);
            words += 4;
          }
          scratch->symbols[at] = static_cast<uint16_t>(symbol);
          model.Put(symbols.center(symbol));
        }
        model.End();
      });
  if (missing) return Corrupt("rows: words missing");
  if (words != end || state != kLow) return Corrupt("rows: stream does not end where it began");
  return {};
}

}  // namespace qstore::codec
