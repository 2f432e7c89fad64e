// SPDX-License-Identifier: Apache-2.0
#include "codec/floating.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/status_macros.h"
#include "codec/huffman.h"
#include "codec/kernels/kernels.h"
#include "codec/plane.h"

namespace qstore::codec {
namespace {

using base::ByteReader;
using base::ByteWriter;

// Mantissa bits that may join the exponent in a symbol.
constexpr unsigned kMaxLead = 3;

struct Layout {
  unsigned bits;      // of the element
  unsigned mantissa;  // explicit mantissa bits
};

Layout LayoutOf(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return {16, 10};
    case DType::kBF16:
      return {16, 7};
    default:
      return {32, 23};
  }
}

template <class T>
T LoadElement(const std::byte* raw, size_t i) {
  T value;
  std::memcpy(&value, raw + i * sizeof(T), sizeof(T));
  return value;
}

// Sign and the low magnitude bits must fit the bytes that the symbol leaves.
bool RestFits(const Layout& layout, unsigned shift) { return shift + 1 <= layout.bits - 8; }

struct Split {
  unsigned shift = 0;  // low bits of the magnitude that are not in the symbol
  unsigned base = 0;   // leading part of the magnitude that symbol 0 stands for
};

// Leading parts of magnitudes, with as many mantissa bits as may join a symbol, that are there.
struct LeadCount {
  uint32_t lead;
  uint32_t count;
};

// Few values are sorted: a table of all leading parts there may be takes longer to look through.
constexpr size_t kFewValues = 256;

template <class T>
uint32_t LeadOf(const Layout& layout, const std::byte* raw, size_t i) {
  constexpr T kMagnitude = static_cast<T>(~T{0}) >> 1;
  return static_cast<uint32_t>((LoadElement<T>(raw, i) & kMagnitude) >>
                               (layout.mantissa - kMaxLead));
}

// By rising leading part.
template <class T>
std::vector<LeadCount> CountLeads(const Layout& layout, std::span<const std::byte> raw) {
  const size_t count = raw.size() / sizeof(T);
  std::vector<LeadCount> leads;
  if (count <= kFewValues) {
    std::array<uint32_t, kFewValues> sorted;
    for (size_t i = 0; i < count; ++i) sorted[i] = LeadOf<T>(layout, raw.data(), i);
    std::sort(sorted.begin(), sorted.begin() + static_cast<ptrdiff_t>(count));
    leads.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      if (leads.empty() || leads.back().lead != sorted[i]) leads.push_back({sorted[i], 0});
      ++leads.back().count;
    }
    return leads;
  }
  std::vector<uint32_t> fine(size_t{1} << (layout.bits - 1 - layout.mantissa + kMaxLead), 0);
  for (size_t i = 0; i < count; ++i) ++fine[LeadOf<T>(layout, raw.data(), i)];
  for (uint32_t lead = 0; lead < fine.size(); ++lead) {
    if (fine[lead] > 0) leads.push_back({lead, fine[lead]});
  }
  return leads;
}

// What the values take when symbols have `lead` of the mantissa bits and begin at `base`, less what
// is the same for all of these; what lies below the base is listed.
double SplitBits(std::span<const LeadCount> leads, unsigned lead, size_t base, double listed) {
  const unsigned drop = kMaxLead - lead;
  double total = 0;
  double weighted = 0;
  double below = 0;
  unsigned symbols = 0;
  for (size_t i = 0; i < leads.size();) {
    const size_t symbol = std::max(size_t{leads[i].lead} >> drop, base);
    uint32_t count = 0;
    for (; i < leads.size() && std::max(size_t{leads[i].lead} >> drop, base) == symbol; ++i) {
      count += leads[i].count;
    }
    if (symbol == base) below = count;
    total += count;
    if (count > 1) weighted += count * std::log2(static_cast<double>(count));
    ++symbols;
  }
  const double entropy = total > 0 ? total * std::log2(total) - weighted : 0;
  double bits = entropy - static_cast<double>(lead) * total;
  if (base > 0) bits += below * listed;
  return bits + 4 * symbols;  // An added symbol costs half a byte of table.
}

// Chooses how many mantissa bits join the symbol: more bits follow the density within an octave and
// waste less of a code's fractions of bits, but leave fewer octaves before values must be listed.
template <class T>
Split ChooseSplit(const Layout& layout, std::span<const std::byte> raw) {
  const std::vector<LeadCount> leads = CountLeads<T>(layout, raw);
  const size_t top = leads.empty() ? 0 : leads.back().lead;
  Split best;
  double best_bits = 0;
  bool found = false;
  for (unsigned lead = 0; lead <= kMaxLead; ++lead) {
    if (!RestFits(layout, layout.mantissa - lead)) continue;
    const size_t top_symbol = top >> (kMaxLead - lead);
    const size_t base = top_symbol >= 255 ? top_symbol - 255 : 0;
    const double bits = SplitBits(leads, lead, base, 8.0 * sizeof(T) + 12);
    if (!found || bits < best_bits) {
      found = true;
      best_bits = bits;
      best = {layout.mantissa - lead, static_cast<unsigned>(base)};
    }
  }
  return best;
}

template <class T>
void SplitPlanes(const Layout& layout, const Split& split, std::span<const std::byte> raw,
                 uint8_t* symbols, uint8_t* const* rest) {
  const size_t count = raw.size() / sizeof(T);
  if constexpr (sizeof(T) == 2) {
    ActiveKernels().split_float16(reinterpret_cast<const uint8_t*>(raw.data()), count, split.base,
                                  split.shift, symbols, rest[0]);
    return;
  }
  constexpr T kMagnitude = static_cast<T>(~T{0}) >> 1;
  const T mask = static_cast<T>((T{1} << split.shift) - 1);
  for (size_t i = 0; i < count; ++i) {
    const T value = LoadElement<T>(raw.data(), i);
    const T magnitude = value & kMagnitude;
    const auto lead = static_cast<unsigned>(magnitude >> split.shift);
    const T low = static_cast<T>((magnitude & mask) | (value >> (layout.bits - 1)) << split.shift);
    symbols[i] = static_cast<uint8_t>(lead > split.base ? lead - split.base : 0);
    for (size_t p = 0; p + 1 < sizeof(T); ++p) rest[p][i] = static_cast<uint8_t>(low >> (8 * p));
  }
}

template <class T>
void Encode(const Layout& layout, Effort effort, std::span<const std::byte> raw,
            PlaneScratch* scratch, std::vector<std::byte>* out) {
  constexpr T kMagnitude = static_cast<T>(~T{0}) >> 1;
  const size_t count = raw.size() / sizeof(T);
  const Split split = ChooseSplit<T>(layout, raw);
  constexpr size_t kRestPlanes = sizeof(T) - 1;
  uint8_t* symbols = scratch->Get(0, count);
  uint8_t* rest[3] = {scratch->Get(1, count), scratch->Get(2, count), scratch->Get(3, count)};
  SplitPlanes<T>(layout, split, raw, symbols, rest);
  // Only a base leaves values below it.
  std::vector<size_t> listed;
  for (size_t i = 0; split.base > 0 && i < count; ++i) {
    const T magnitude = LoadElement<T>(raw.data(), i) & kMagnitude;
    if (static_cast<unsigned>(magnitude >> split.shift) < split.base) listed.push_back(i);
  }
  ByteWriter writer(out);
  writer.Fixed(static_cast<uint8_t>(split.shift));
  writer.Varint(split.base);
  EncodePlane({symbols, count}, effort, out);
  for (size_t p = 0; p < kRestPlanes; ++p) EncodePlane({rest[p], count}, effort, out);
  writer.Varint(listed.size());
  size_t next = 0;
  for (size_t i : listed) {
    writer.Varint(i - next);
    writer.Fixed(LoadElement<T>(raw.data(), i));
    next = i + 1;
  }
}

template <class T>
Status ReadListed(ByteReader* payload, std::span<std::byte> raw) {
  const uint64_t count = raw.size() / sizeof(T);
  const uint64_t listed = payload->Varint();
  if (listed > count) return Corrupt("floats: more values listed than there are");
  uint64_t next = 0;
  for (uint64_t i = 0; i < listed; ++i) {
    const uint64_t skip = payload->Varint();
    const T value = payload->Fixed<T>();
    if (!payload->ok() || skip >= count - next) return Corrupt("floats: listed value out of range");
    next += skip;
    std::memcpy(raw.data() + next * sizeof(T), &value, sizeof(T));
    ++next;
  }
  return payload->ok() ? Status() : Corrupt("floats: list of values missing");
}

}  // namespace

uint8_t* PlaneScratch::Get(size_t index, size_t count) {
  auto& plane = planes[index];
  if (plane.size() < count + kPlaneSlack) plane.resize(count + kPlaneSlack);
  return plane.data();
}

bool IsCodedFloat(DType dtype) {
  return dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF32;
}

void EncodeFloats(DType dtype, Effort effort, std::span<const std::byte> raw, PlaneScratch* scratch,
                  std::vector<std::byte>* out) {
  const Layout layout = LayoutOf(dtype);
  if (layout.bits == 16) {
    Encode<uint16_t>(layout, effort, raw, scratch, out);
  } else {
    Encode<uint32_t>(layout, effort, raw, scratch, out);
  }
}

Status DecodeFloats(DType dtype, ByteReader* payload, PlaneScratch* scratch,
                    std::span<std::byte> raw) {
  const Layout layout = LayoutOf(dtype);
  const size_t count = raw.size() * 8 / layout.bits;
  const unsigned shift = payload->Fixed<uint8_t>();
  const uint64_t base = payload->Varint();
  if (shift > layout.mantissa || shift + kMaxLead < layout.mantissa || !RestFits(layout, shift) ||
      base >> (layout.bits - 1 - shift) != 0) {
    return Corrupt("floats: split outside the element");
  }
  const uint8_t* planes[4] = {};
  for (size_t p = 0; p < layout.bits / 8; ++p) {
    QSTORE_ASSIGN(planes[p], DecodePlane(payload, count, scratch->Get(p, count)));
  }
  auto* out = reinterpret_cast<uint8_t*>(raw.data());
  if (layout.bits == 16) {
    ActiveKernels().merge_float16(planes[0], planes[1], count, static_cast<unsigned>(base), shift,
                                  out);
    return ReadListed<uint16_t>(payload, raw);
  }
  ActiveKernels().merge_float32(planes[0], planes[1], planes[2], planes[3], count,
                                static_cast<unsigned>(base), shift, out);
  return ReadListed<uint32_t>(payload, raw);
}

}  // namespace qstore::codec
