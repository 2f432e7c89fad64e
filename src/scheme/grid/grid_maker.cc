// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/grid_maker.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "base/bytes.h"
#include "base/status_macros.h"
#include "io/safetensors.h"
#include "scheme/grid/grid_shapes.h"

namespace qstore::scheme {
namespace {

constexpr std::string_view kWeight = "weight";

const GridFormat* FindMaker(std::string_view made_name) {
  for (const GridFormat* format : GridFormats()) {
    const auto names = format->MadeNames();
    if (std::find(names.begin(), names.end(), made_name) != names.end()) return format;
  }
  return nullptr;
}

Status UnknownFormat(std::string_view made_name) {
  std::string text = "format '" + std::string(made_name) + "' is none of ";
  for (const std::string_view name : MadeNames()) text.append(name).append(", ");
  text.resize(text.size() - 2);
  return InvalidArgument(text);
}

void Store(uint32_t pattern, std::span<std::byte> out) {
  for (size_t b = 0; b < out.size(); ++b) out[b] = static_cast<std::byte>(pattern >> (8 * b));
}

}  // namespace

std::span<const std::string_view> MadeNames() {
  static const std::vector<std::string_view> kNames = [] {
    std::vector<std::string_view> names;
    for (const GridFormat* format : GridFormats()) {
      const auto own = format->MadeNames();
      names.insert(names.end(), own.begin(), own.end());
    }
    return names;
  }();
  return kNames;
}

Result<GridMaker> GridMaker::Create(std::string_view made_name, const TensorDesc& weights) {
  const GridFormat* const format = FindMaker(made_name);
  if (format == nullptr) return UnknownFormat(made_name);
  const std::string subject = io::QuotedName(weights.name) + ": " + std::string(made_name);
  if (!ModuleOf(weights.name, kWeight)) return InvalidArgument(subject + " wants 'weight' last");
  if (weights.shape.size() != 2 || weights.shape[0] == 0 || weights.shape[1] == 0 ||
      weights.shape[0] > (uint64_t{1} << 60) / weights.shape[1]) {
    return InvalidArgument(subject + " wants a matrix that is not empty");
  }
  auto made = format->Make(made_name, weights);
  if (!made.ok()) return made.status().WithContext(subject);
  if (!Applies(RoundingOf(made->rule), weights.dtype)) {
    return InvalidArgument(subject + " is not made of " + std::string(DTypeName(weights.dtype)));
  }
  return GridMaker(*std::move(made), weights);
}

GridMaker::GridMaker(MadeMatrix made, const TensorDesc& weights)
    : made_(std::move(made)),
      name_(weights.name),
      dtype_(weights.dtype),
      elem_count_(ElementCount(weights.shape)) {
  const std::string module(*ModuleOf(weights.name, kWeight));
  for (MadeTensor& tensor : made_.tensors) tensor.name.insert(0, module);
}

uint64_t GridMaker::unit() const {
  if (made_.has_one_scale) return 1;
  const Groups& groups = made_.groups;
  return groups.AreRuns(elem_count_) ? groups.width : groups.height * groups.columns;
}

Result<float> GridMaker::PeakOf(std::span<const std::byte> weights) const {
  const uint64_t size = DTypeBits(dtype_) / 8;
  const uint64_t count = weights.size() / size;
  if (weights.size() % size != 0)
    return InvalidArgument(io::QuotedName(name_) + ": no whole weights");
  if (count == 0) return 0.0f;
  // A scale that is the largest magnitude itself, of one group.
  const GridParams params{RoundingRule::kNf4, CodeLayout::kPlain, {}, {1, count, count}};
  PredictorScratch scratch;
  std::byte bytes[4];
  Predictor(params, dtype_, count, &scratch).Scales({0, count}, weights, {}, bytes);
  const auto pattern = base::LoadLe<uint32_t>(bytes);
  constexpr uint32_t kInfinity = 0x7f800000;
  if (pattern < kInfinity) return std::bit_cast<float>(pattern);
  return InvalidArgument(io::QuotedName(name_) + ": holds " +
                         (pattern == kInfinity ? "infinity" : "NaN") + " and cannot be quantized");
}

Status GridMaker::CheckPiece(uint64_t first, std::span<const std::byte> weights) const {
  const uint64_t size = DTypeBits(dtype_) / 8;
  const uint64_t count = weights.size() / size;
  const bool is_inside = weights.size() % size == 0 && count > 0 && first < elem_count_ &&
                         count <= elem_count_ - first;
  if (is_inside && first % unit() == 0 &&
      ((first + count) % unit() == 0 || first + count == elem_count_)) {
    return {};
  }
  return InvalidArgument(io::QuotedName(name_) + ": no such piece of weights");
}

Result<std::vector<RoundedPart>> GridMaker::Round(uint64_t first,
                                                  std::span<const std::byte> weights,
                                                  float peak) const {
  QSTORE_TRY(CheckPiece(first, weights));
  QSTORE_TRY(PeakOf(weights).status());
  const Rounding& rounding = RoundingOf(made_.rule);
  const GroupRange range{first, weights.size() / (DTypeBits(dtype_) / 8)};
  std::byte global_bytes[4];
  std::byte scale_bytes[4];
  const ParentContent global{global_bytes};
  const ParentContent scale{scale_bytes};
  SidesOf<ParentContent> sides;
  if (made_.global != nullptr) {
    Store(std::bit_cast<uint32_t>(made_.global(dtype_, peak)), global_bytes);
    sides.global = &global;
  }
  if (made_.has_one_scale) {
    const Extremes extremes{std::bit_cast<uint32_t>(peak)};
    Store(StoredFor(rounding, dtype_, extremes, 1).pattern, scale_bytes);
    sides.scales = &scale;
  }
  std::vector<RoundedPart> parts;
  for (size_t t = 0; t < made_.tensors.size(); ++t) {
    const MadeTensor& tensor = made_.tensors[t];
    RoundedPart part;
    if (tensor.content == MadeTensor::Content::kCodes) {
      part = Codes(range, weights, sides);
    } else if (tensor.content == MadeTensor::Content::kScales && !made_.has_one_scale) {
      part = Scales(range, weights, sides);
    } else if (first != 0) {
      continue;  // The first piece makes what is one for all.
    } else if (tensor.content == MadeTensor::Content::kScales) {
      part.bytes.assign(scale_bytes, scale_bytes + DTypeBits(tensor.dtype) / 8);
    } else if (tensor.content == MadeTensor::Content::kGlobal) {
      part.bytes.assign(global_bytes, global_bytes + sizeof(global_bytes));
    } else {
      part.bytes = tensor.given;
    }
    part.tensor = t;
    parts.push_back(std::move(part));
  }
  return parts;
}

RoundedPart GridMaker::Codes(const GroupRange& range, std::span<const std::byte> weights,
                             const SidesOf<ParentContent>& sides) const {
  const unsigned bits = RoundingOf(made_.rule).bits;
  RoundedPart part;
  part.begin = range.first_elem * bits / 8;
  part.bytes.resize(range.elem_count * bits / 8);
  PredictorScratch scratch;
  Predictor({made_.rule, made_.layout, {}, made_.groups}, dtype_, elem_count_, &scratch)
      .Codes(range, weights, sides, part.bytes);
  return part;
}

RoundedPart GridMaker::Scales(const GroupRange& range, std::span<const std::byte> weights,
                              const SidesOf<ParentContent>& sides) const {
  const uint64_t size = DTypeBits(ScaleType(RoundingOf(made_.rule), dtype_)) / 8;
  const Groups groups = made_.groups.Joined(elem_count_);
  RoundedPart part;
  part.begin = range.FirstGroup(groups) * size;
  part.bytes.resize((range.EndGroup(groups) - range.FirstGroup(groups)) * size);
  PredictorScratch scratch;
  Predictor({made_.rule, made_.layout, {}, made_.groups}, dtype_, elem_count_, &scratch)
      .Scales(range, weights, sides, part.bytes);
  return part;
}

}  // namespace qstore::scheme
