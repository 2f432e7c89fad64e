// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <bit>

#include "base/bytes.h"
#include "codec/bits.h"
#include "codec/plane.h"
#include "scheme/delta/delta_classes.h"
#include "scheme/delta/delta_coder.h"
#include "scheme/delta/delta_values.h"
#include "scheme/delta/kernels/delta_kernels.h"

namespace qstore::scheme {
namespace {

// Elements of a run: a stretch of a row that training moved about as far.
constexpr unsigned kRunBits = 7;
// The share of elements whose exponents may lie above those that are told apart.
constexpr size_t kAboveTop = 2048;

unsigned SymbolOf(uint32_t step) {
  if (step < kSmallSteps) return step;
  const auto highest = static_cast<unsigned>(std::bit_width(step)) - 1;
  return kSmallSteps + 4 * (highest - 4) + ((step >> (highest - 2)) & 3);
}

template <class T>
class Encoder {
 public:
  Encoder(unsigned mantissa, std::span<const std::byte> raw, std::span<const std::byte> parent,
          DeltaScratch* scratch)
      : mantissa_(mantissa),
        count_(raw.size() / sizeof(T)),
        raw_(raw.data()),
        parent_(parent.data()),
        scratch_(*scratch) {}

  void Write(std::vector<std::byte>* out) {
    base::ByteWriter writer(out);
    FindSteps();
    const auto is_step = [](uint32_t step) { return step != 0; };
    if (std::none_of(scratch_.steps.begin(), scratch_.steps.end(), is_step)) {
      writer.Fixed(uint8_t{0});
      return;
    }
    PutSymbols();
    FindTop();
    FindBelow();
    FindMoved();
    DeltaRuns runs{scratch_.symbols, scratch_.contexts, scratch_.moved, kRunBits};
    const DeltaClasses classes = ClassifyDelta(runs, &scratch_.class_of);
    writer.Fixed(static_cast<uint8_t>(classes.contexts));
    writer.Fixed(static_cast<uint8_t>(top_));
    writer.Fixed(static_cast<uint8_t>(kRunBits));
    writer.Fixed(static_cast<uint8_t>(classes.maps.size() / kDeltaExponents));
    writer.Bytes(std::as_bytes(std::span(classes.maps)));
    if (classes.maps.size() > kDeltaExponents) {
      codec::EncodePlane(scratch_.class_of, codec::Effort::kHuffman, out);
    }
    writer.Varint(extra_count_);
    writer.Bytes(std::as_bytes(
        std::span(scratch_.extra).first(static_cast<size_t>((extra_count_ + 7) / 8))));
    FindContexts(classes);
    const codec::Contexts contexts{scratch_.contexts, 0, classes.contexts};
    codec::CountByContext(scratch_.symbols, contexts, &scratch_.rans);
    codec::EncodeContextRans(scratch_.symbols, contexts, &scratch_.rans, out);
  }

 private:
  T Raw(size_t i) const { return base::LoadLe<T>(raw_ + i * sizeof(T)); }
  T Parent(size_t i) const { return base::LoadLe<T>(parent_ + i * sizeof(T)); }

  void FindSteps() {
    scratch_.steps.resize(count_);
    if constexpr (sizeof(T) == 2) {
      ActiveDelta().steps(reinterpret_cast<const uint8_t*>(parent_),
                          reinterpret_cast<const uint8_t*>(raw_), count_, scratch_.steps.data());
      return;
    }
    for (size_t i = 0; i < count_; ++i) {
      scratch_.steps[i] = ZigZag(StepBetween(Parent(i), Raw(i)));
    }
  }

  void PutSymbols() {
    scratch_.symbols.resize(count_);
    scratch_.extra.resize(count_ * sizeof(T) + codec::BitWriter::kSlack);
    codec::BitWriter bits(scratch_.extra.data());
    for (size_t i = 0; i < count_; ++i) {
      const uint32_t step = scratch_.steps[i];
      const unsigned symbol = SymbolOf(step);
      scratch_.symbols[i] = static_cast<uint8_t>(symbol);
      if (symbol < kSmallSteps) continue;
      const unsigned width = ExtraBitsOf(symbol);
      bits.Put(step - FirstStepOf(symbol), width);
      extra_count_ += width;
    }
    bits.Finish();
  }

  // The largest exponent that is not rare.
  void FindTop() {
    std::array<size_t, 256> counts{};
    for (size_t i = 0; i < count_; ++i) {
      ++counts[static_cast<size_t>((Parent(i) & static_cast<T>(~kSignBit<T>)) >> mantissa_)];
    }
    size_t above = 0;
    for (top_ = 255; top_ > 0; --top_) {
      above += counts[top_];
      if (above * kAboveTop > count_) break;
    }
  }

  void FindBelow() {
    constexpr std::array<uint8_t, kDeltaExponents> kSame = {0, 1, 2,  3,  4,  5,  6,  7,
                                                            8, 9, 10, 11, 12, 13, 14, 15};
    MapExponents(0, count_, kSame.data());
  }

  // To scratch_.contexts.
  void MapExponents(size_t begin, size_t end, const uint8_t* map) {
    scratch_.contexts.resize(count_);
    if constexpr (sizeof(T) == 2) {
      ActiveDelta().contexts(reinterpret_cast<const uint8_t*>(parent_) + 2 * begin, end - begin,
                             mantissa_, top_, map, scratch_.contexts.data() + begin);
      return;
    }
    for (size_t i = begin; i < end; ++i) {
      scratch_.contexts[i] = map[ExponentBelow(Parent(i), mantissa_, top_, kDeltaExponents - 1)];
    }
  }

  // Steps count for as much as floats lie apart.
  void FindMoved() {
    constexpr size_t kRun = size_t{1} << kRunBits;
    constexpr uint32_t kMost = uint32_t{1} << 24;
    scratch_.moved.assign((count_ + kRun - 1) >> kRunBits, 0);
    for (size_t r = 0; r < scratch_.moved.size(); ++r) {
      uint64_t sum = 0;
      for (size_t i = r * kRun; i < std::min(count_, (r + 1) * kRun); ++i) {
        const uint32_t steps = std::min((scratch_.steps[i] + 1) >> 1, kMost);
        sum += uint64_t{steps} << (kDeltaExponents - 1 - scratch_.contexts[i]);
      }
      scratch_.moved[r] = sum;
    }
  }

  void FindContexts(const DeltaClasses& classes) {
    if (classes.maps.size() == kDeltaExponents) {
      return MapExponents(0, count_, classes.maps.data());
    }
    constexpr size_t kRun = size_t{1} << kRunBits;
    for (size_t r = 0; r < scratch_.class_of.size(); ++r) {
      MapExponents(r * kRun, std::min(count_, (r + 1) * kRun),
                   classes.maps.data() + scratch_.class_of[r] * kDeltaExponents);
    }
  }

  unsigned mantissa_;
  size_t count_;
  const std::byte* raw_;
  const std::byte* parent_;
  DeltaScratch& scratch_;
  unsigned top_ = 0;
  uint64_t extra_count_ = 0;
};

}  // namespace

void EncodeDelta(DType dtype, std::span<const std::byte> raw, std::span<const std::byte> parent,
                 DeltaScratch* scratch, std::vector<std::byte>* out) {
  const unsigned mantissa = MantissaBits(dtype);
  if (dtype == DType::kF32) {
    Encoder<uint32_t>(mantissa, raw, parent, scratch).Write(out);
  } else {
    Encoder<uint16_t>(mantissa, raw, parent, scratch).Write(out);
  }
}

}  // namespace qstore::scheme
