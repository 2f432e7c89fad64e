// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>

#include "base/isa.h"
#include "base/status_macros.h"
#include "codec/plane.h"
#include "scheme/delta/delta_coder.h"
#include "scheme/delta/delta_values.h"
#include "scheme/delta/kernels/delta_kernels.h"

namespace qstore::scheme {

const DeltaKernels& ActiveDelta() {
#if defined(QSTORE_X86_KERNELS)
  if (base::ActiveIsa() == base::Isa::kAvx512) return kAvx512Delta;
  if (base::ActiveIsa() == base::Isa::kAvx2) return kAvx2Delta;
#endif
  return kScalarDelta;
}

namespace {

using base::ByteReader;

struct Header {
  size_t contexts = 0;
  unsigned top = 0;
  unsigned run_bits = 0;
  size_t classes = 0;
  const uint8_t* maps = nullptr;
};

Result<Header> ReadHeader(ByteReader* payload) {
  Header header;
  header.contexts = payload->Fixed<uint8_t>();
  if (payload->ok() && header.contexts == 0) return header;
  header.top = payload->Fixed<uint8_t>();
  header.run_bits = payload->Fixed<uint8_t>();
  header.classes = payload->Fixed<uint8_t>();
  const bool in_range = header.contexts <= kMaxDeltaContexts && header.classes >= 1 &&
                        header.classes <= kMaxDeltaClasses && header.run_bits >= kMinDeltaRunBits &&
                        header.run_bits <= kMaxDeltaRunBits;
  const auto maps = payload->Bytes(header.classes * kDeltaExponents);
  if (!payload->ok() || !in_range) return Corrupt("delta: header out of range");
  header.maps = reinterpret_cast<const uint8_t*>(maps.data());
  if (std::any_of(header.maps, header.maps + maps.size(),
                  [&](uint8_t context) { return context >= header.contexts; })) {
    return Corrupt("delta: a context that does not exist");
  }
  return header;
}

template <class T>
void ContextsOf(const uint8_t* floats, size_t count, unsigned mantissa, unsigned top,
                const uint8_t* map, uint8_t* out) {
  if constexpr (sizeof(T) == 2)
    return ActiveDelta().contexts(floats, count, mantissa, top, map, out);
  for (size_t i = 0; i < count; ++i) {
    const T pattern = base::LoadLe<T>(floats + i * sizeof(T));
    out[i] = map[ExponentBelow(pattern, mantissa, top, kDeltaExponents - 1)];
  }
}

// The context of each element, by its parent and the class of its run.
template <class T>
Status ReadContexts(const Header& header, unsigned mantissa, ByteReader* payload,
                    std::span<const std::byte> parent, DeltaScratch* scratch) {
  const size_t count = parent.size() / sizeof(T);
  scratch->contexts.resize(count);
  const auto* floats = reinterpret_cast<const uint8_t*>(parent.data());
  uint8_t* out = scratch->contexts.data();
  if (header.classes == 1) {
    ContextsOf<T>(floats, count, mantissa, header.top, header.maps, out);
    return {};
  }
  const size_t run = size_t{1} << header.run_bits;
  const size_t runs = (count + run - 1) >> header.run_bits;
  scratch->class_of.resize(runs + codec::kPlaneSlack);
  QSTORE_ASSIGN(const uint8_t* class_of,
                codec::DecodeClassPlane(payload, runs, scratch->class_of.data()));
  for (size_t r = 0; r < runs; ++r) {
    if (class_of[r] >= header.classes) return Corrupt("delta: a class that does not exist");
    const size_t begin = r << header.run_bits;
    ContextsOf<T>(floats + begin * sizeof(T), std::min(run, count - begin), mantissa, header.top,
                  header.maps + class_of[r] * kDeltaExponents, out + begin);
  }
  return {};
}

// Bits behind symbols, read in words: kReadSlack bytes follow them.
class ExtraBits {
 public:
  Status Read(ByteReader* payload) {
    count_ = payload->Varint();
    const auto bytes = payload->Bytes(count_ / 8 + (count_ % 8 != 0));
    if (!payload->ok() || payload->remaining() < codec::kReadSlack) {
      return Corrupt("delta: bits missing");
    }
    bytes_ = bytes.data();
    return {};
  }
  /// False when they are used up.
  bool Take(unsigned width, uint64_t* value) {
    if (width > count_ - used_) return false;
    *value = base::LoadLe<uint64_t>(bytes_ + (used_ >> 3)) >> (used_ & 7);
    *value &= (uint64_t{1} << width) - 1;
    used_ += width;
    return true;
  }
  bool AreUsed() const { return used_ == count_; }

 private:
  const std::byte* bytes_ = nullptr;
  uint64_t count_ = 0;
  uint64_t used_ = 0;
};

// Which of eight symbols are no small steps: the top bits of their bytes.
uint64_t LargeOf(const uint8_t* symbols) {
  constexpr uint64_t kTop = 0x8080808080808080;
  static_assert(kSmallSteps == 16);
  const auto word = base::LoadLe<uint64_t>(symbols);
  return (((word & ~kTop) + 0x7070707070707070) | word) & kTop;
}

// Elements whose symbols are no small steps. False where these are out of range, or bits are used
// up.
template <class T>
bool PutLarge(const uint8_t* symbols, std::span<const std::byte> parent, ExtraBits* bits,
              std::span<std::byte> raw) {
  const size_t count = parent.size() / sizeof(T);
  const auto put = [&](size_t i) {
    const unsigned symbol = symbols[i];
    if (symbol >= DeltaSymbols(8 * sizeof(T))) return false;
    uint64_t low = 0;
    if (!bits->Take(ExtraBitsOf(symbol), &low)) return false;
    const T step = UnZigZag(static_cast<T>(FirstStepOf(symbol) + low));
    const T from = base::LoadLe<T>(parent.data() + i * sizeof(T));
    base::StoreLe(raw.data() + i * sizeof(T), AfterStep(from, step));
    return true;
  };
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    for (uint64_t large = LargeOf(symbols + i); large != 0; large &= large - 1) {
      if (!put(i + static_cast<size_t>(std::countr_zero(large)) / 8)) return false;
    }
  }
  for (; i < count; ++i) {
    if (symbols[i] >= kSmallSteps && !put(i)) return false;
  }
  return true;
}

template <class T>
void PutSmall(const uint8_t* symbols, std::span<const std::byte> parent, std::span<std::byte> raw) {
  const size_t count = parent.size() / sizeof(T);
  if constexpr (sizeof(T) == 2) {
    return ActiveDelta().apply(reinterpret_cast<const uint8_t*>(parent.data()), symbols, count,
                               reinterpret_cast<uint8_t*>(raw.data()));
  }
  for (size_t i = 0; i < count; ++i) {
    const T from = base::LoadLe<T>(parent.data() + i * sizeof(T));
    base::StoreLe(raw.data() + i * sizeof(T), AfterStep(from, UnZigZag(T{symbols[i]})));
  }
}

template <class T>
Status Decode(unsigned mantissa, ByteReader* payload, std::span<const std::byte> parent,
              DeltaScratch* scratch, std::span<std::byte> raw) {
  QSTORE_ASSIGN(const Header header, ReadHeader(payload));
  if (header.contexts == 0) {
    std::copy(parent.begin(), parent.end(), raw.begin());
    return {};
  }
  QSTORE_TRY(ReadContexts<T>(header, mantissa, payload, parent, scratch));
  ExtraBits bits;
  QSTORE_TRY(bits.Read(payload));
  const size_t count = parent.size() / sizeof(T);
  scratch->symbols.resize(count);
  QSTORE_TRY(codec::DecodeContextRans(payload, {scratch->contexts, 0, header.contexts}, count,
                                      &scratch->rans, scratch->symbols.data()));
  PutSmall<T>(scratch->symbols.data(), parent, raw);
  if (!PutLarge<T>(scratch->symbols.data(), parent, &bits, raw)) {
    return Corrupt("delta: a symbol is out of range, or its bits are missing");
  }
  return bits.AreUsed() ? Status() : Corrupt("delta: bits left over");
}

}  // namespace

Status DecodeDelta(DType dtype, ByteReader* payload, std::span<const std::byte> parent,
                   DeltaScratch* scratch, std::span<std::byte> raw) {
  const unsigned mantissa = MantissaBits(dtype);
  return dtype == DType::kF32 ? Decode<uint32_t>(mantissa, payload, parent, scratch, raw)
                              : Decode<uint16_t>(mantissa, payload, parent, scratch, raw);
}

}  // namespace qstore::scheme
