// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "fuzz/fuzz_input.h"
#include "qstore/dtype.h"
#include "scheme/chunk_coder.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/grid/grid_params.h"
#include "scheme/registry.h"

namespace qstore::fuzz {

/// A chunk of an object, with parents of the sizes that its scheme wants.
struct ChunkCase {
  scheme::ObjectSpec spec;
  uint64_t chunk = 0;
  std::unique_ptr<const scheme::Bound> bound;
  std::vector<std::vector<std::byte>> contents;  ///< Of the parents, as `given` has them.
  std::vector<scheme::ParentContent> parents;

  size_t byte_size() const { return spec.chunk_elem_count(chunk) * spec.elem_bytes(); }
  scheme::Given given() const { return {bound.get(), parents}; }
};

inline scheme::ObjectSpec ObjectOf(DType dtype, uint64_t elems, uint64_t row_elems,
                                   uint64_t chunk_elems) {
  scheme::ObjectSpec spec;
  spec.dtype = dtype;
  spec.byte_size = elems * DTypeBits(dtype) / 8;
  spec.row_elems = std::max<uint64_t>(1, row_elems);
  spec.chunk_elems = std::max<uint64_t>(1, chunk_elems);
  return spec;
}

/// What a case takes off the input: a number of a scheme, a child and parents that it may want.
struct BindingCase {
  scheme::ObjectSpec child;
  std::vector<scheme::ObjectSpec> parents;
  std::vector<std::byte> params;
  uint64_t chunk = 0;
};

struct GptqCase {
  uint64_t inputs = 0;
  uint64_t outputs = 0;
  uint64_t groups = 0;
  unsigned bits = 0;
};

/// Scales, zero points and perhaps groups; returns whether there are groups.
inline bool AddGptqSides(const GptqCase& shape, DType scales_dtype, FuzzInput* in,
                         BindingCase* out) {
  const uint64_t cells = shape.groups * shape.outputs;
  out->parents.push_back(ObjectOf(scales_dtype, cells, shape.outputs, cells));
  const uint64_t zero_words = cells * shape.bits / 32;
  out->parents.push_back(ObjectOf(DType::kI32, zero_words, zero_words, zero_words));
  if (in->Below(2) == 0) return false;
  out->parents.push_back(ObjectOf(DType::kI32, shape.inputs, shape.inputs, shape.inputs));
  return true;
}

/// At most 4 Ki weights.
inline void TakeGptqBinding(FuzzInput* in, bool is_floats, BindingCase* out) {
  static constexpr DType kScales[] = {DType::kF16, DType::kBF16, DType::kF32};
  static constexpr unsigned kBits[] = {4, 8, 2, 3};
  GptqCase shape;
  shape.groups = 1 + in->Below(4);
  shape.inputs = 32 * shape.groups;
  shape.outputs = 32 << in->Below(2);
  shape.bits = kBits[in->Below(4)];
  const uint64_t weights = shape.inputs * shape.outputs;
  const auto words = [&](unsigned bits) {
    return ObjectOf(DType::kI32, weights * bits / 32, shape.outputs, bits * shape.outputs);
  };
  const DType scales = kScales[in->Below(3)];
  out->chunk = in->Below(2);
  out->parents.push_back(words(shape.bits));
  const bool has_groups = AddGptqSides(shape, scales, in, out);
  if (is_floats) {
    out->child = ObjectOf(in->Below(2) == 0 ? DType::kBF16 : DType::kF16, weights, shape.inputs,
                          shape.inputs * (shape.outputs - 3));
    out->params = {static_cast<std::byte>(scales), std::byte{has_groups}};
    return;
  }
  GptqCase own = shape;
  own.bits = kBits[in->Below(4)];
  const DType own_scales = kScales[in->Below(3)];
  out->child = words(own.bits);
  const bool own_groups = AddGptqSides(own, own_scales, in, out);
  out->params = {static_cast<std::byte>(scales), static_cast<std::byte>(own_scales),
                 static_cast<std::byte>((has_groups ? 1 : 0) + (own_groups ? 2 : 0))};
}

/// Codes given weights (5), scales or zero points given weights (6), weights given codes (7, 8).
inline void TakeGridBinding(FuzzInput* in, SchemeId scheme, BindingCase* out) {
  static constexpr DType kWeights[] = {DType::kBF16, DType::kF16, DType::kF32};
  const DType type = kWeights[in->Below(3)];
  scheme::GridParams params;
  params.rule = static_cast<scheme::RoundingRule>(
      1 + in->Below(static_cast<uint64_t>(scheme::RoundingRule::kEnd) - 1));
  params.layout = static_cast<scheme::CodeLayout>(in->Below(scheme::kCodeLayoutCount));
  const uint64_t flags = in->Below(4);
  const bool is_global = params.rule == scheme::RoundingRule::kNvfp4;
  params.sides = {(flags & 1) != 0, (flags & 2) != 0, is_global};
  const uint64_t rows = 8 * (1 + in->Below(3));
  const uint64_t columns = 8 * (1 + in->Below(20));
  params.groups = {1 + in->Below(rows), 1 + in->Below(columns), columns};
  const uint64_t chunk = 8 * columns * (1 + in->Below(rows / 8));
  const uint64_t bits = params.rounding().bits;
  const uint64_t elems = rows * columns;
  const scheme::ObjectSpec weights = ObjectOf(type, elems, columns, chunk);
  const bool is_words = in->Below(2) != 0;
  const uint64_t per_elem = (is_words ? 32 : 8) / bits;
  const scheme::ObjectSpec codes = ObjectOf(is_words ? DType::kI32 : DType::kU8, elems / per_elem,
                                            columns / per_elem, chunk / per_elem);
  const uint64_t count = params.groups.Count(elems);
  const uint64_t per_chunk = chunk / columns * params.groups.per_row();
  const scheme::ObjectSpec scales = ObjectOf(scheme::ScaleType(params.rounding(), type), count,
                                             params.groups.per_row(), per_chunk);
  const scheme::ObjectSpec zeros =
      ObjectOf(DType::kI32, count / 8, params.groups.per_row(), per_chunk / 8);
  out->chunk = 1;
  if (scheme == 6) {
    params.sides.has_zeros = !params.sides.has_scales;
    out->child = params.sides.has_zeros ? zeros : scales;
    out->parents = {weights};
  } else {
    out->child = scheme == 5 ? codes : weights;
    out->parents = {scheme == 5 ? weights : codes};
    if (params.sides.has_scales) out->parents.push_back(scales);
    if (params.sides.has_zeros) out->parents.push_back(zeros);
  }
  if (is_global) out->parents.push_back(ObjectOf(DType::kF32, 1, 1, 1));
  out->params = scheme::WriteGridParams(params);
}

inline DType TakeHalf(FuzzInput* in) { return in->Below(2) == 0 ? DType::kBF16 : DType::kF16; }

/// Codes of GPTQ (10) or AWQ (11) given weights.
inline void TakeByInputBinding(FuzzInput* in, bool is_awq, BindingCase* out) {
  static constexpr DType kScales[] = {DType::kF16, DType::kBF16, DType::kF32};
  static constexpr unsigned kBits[] = {4, 8, 2, 3};
  GptqCase shape;
  shape.groups = 1 + in->Below(4);
  shape.inputs = 32 * shape.groups;
  shape.outputs = 32 << in->Below(2);
  shape.bits = is_awq ? 4 : kBits[in->Below(4)];
  const uint64_t weights = shape.inputs * shape.outputs;
  const uint64_t row = is_awq ? shape.outputs / 8 : shape.outputs;
  const uint64_t chunk = is_awq ? 32 * row : shape.bits * row;
  out->child = ObjectOf(DType::kI32, weights * shape.bits / 32, row, chunk);
  out->chunk = in->Below(2);
  out->parents.push_back(ObjectOf(TakeHalf(in), weights, shape.inputs, weights));
  const DType scales = kScales[in->Below(3)];
  const bool has_groups = AddGptqSides(shape, scales, in, out);
  out->params = {static_cast<std::byte>(scales), std::byte{has_groups}};
  if (!is_awq) return;
  out->params.pop_back();
  if (has_groups) out->parents.pop_back();
}

/// Codes near those of the weights (12), in words or bytes of four or eight bits.
inline void TakeNearBinding(FuzzInput* in, BindingCase* out) {
  static constexpr scheme::RoundingRule kRules[] = {
      scheme::RoundingRule::kInt4, scheme::RoundingRule::kInt4Zeros, scheme::RoundingRule::kInt8,
      scheme::RoundingRule::kInt8Zeros, scheme::RoundingRule::kInt8ByteZeros};
  scheme::GridParams params;
  params.rule = kRules[in->Below(std::size(kRules))];
  const scheme::Rounding& rounding = params.rounding();
  params.sides = {true, scheme::HasZeros(rounding), false};
  const bool is_plain = in->Below(2) != 0;
  params.layout = is_plain ? scheme::CodeLayout::kPlain : scheme::CodeLayout::kOffset;
  const uint64_t rows = 8 * (1 + in->Below(3));
  const uint64_t columns = in->Below(4) == 0 ? 1 + in->Below(8) : 8 * (1 + in->Below(20));
  params.groups = {1, 1 + in->Below(columns), columns};
  const uint64_t elems = rows * columns;
  const DType codes = in->Below(2) == 0 ? DType::kI32 : DType::kI8;
  const uint64_t per_elem = DTypeBits(codes) / rounding.bits;
  const DType type = TakeHalf(in);
  out->child = ObjectOf(codes, elems / per_elem, columns / per_elem, 8 * columns / per_elem);
  out->chunk = in->Below(2);
  const uint64_t count = params.groups.Count(elems);
  out->parents = {ObjectOf(type, elems, columns, 8 * columns), ObjectOf(type, count, 1, count)};
  if (params.sides.has_zeros) {
    const DType zeros = rounding.has_byte_zeros ? DType::kI8 : DType::kI32;
    out->parents.push_back(ObjectOf(zeros, count * rounding.bits / DTypeBits(zeros), 1, count));
  }
  const bool has_order = in->Below(2) != 0;
  if (has_order) out->parents.push_back(ObjectOf(DType::kI32, columns, columns, columns));
  out->params = scheme::WriteGridParams(params);
  out->params.push_back(std::byte{has_order});
}

/// Weights of one expert or two that are values of codes (13), cut anywhere.
inline void TakeExpertBinding(FuzzInput* in, BindingCase* out) {
  const uint64_t experts = 1 + in->Below(2);
  const uint64_t inputs = 32 * (1 + in->Below(2));
  const uint64_t outputs = 1 + in->Below(24);
  const uint64_t elems = experts * inputs * outputs;
  out->child = ObjectOf(DType::kBF16, elems, inputs * outputs, 1 + in->Below(elems));
  out->chunk = in->Below(out->child.chunk_count());
  out->parents = {ObjectOf(DType::kU8, elems / 2, elems / 2, elems),
                  ObjectOf(DType::kU8, elems / 32, elems / 32, elems)};
  out->params = {static_cast<std::byte>(inputs), static_cast<std::byte>(outputs)};
}

/// Codes or scales that were cast from MXFP4 (14), scales cut anywhere.
inline void TakeCastBinding(FuzzInput* in, BindingCase* out) {
  const bool is_scales = in->Below(2) != 0;
  const uint64_t elems = 2 * (1 + in->Below(300));
  const uint64_t chunk_elems = 1 + in->Below(elems);
  out->child = ObjectOf(is_scales ? DType::kF8E4M3 : DType::kU8, elems, elems, chunk_elems);
  out->chunk = in->Below(out->child.chunk_count());
  const uint64_t given = is_scales ? elems / 2 : elems;
  out->parents = {
      ObjectOf(DType::kU8, given, given, is_scales ? 1 + in->Below(given) : chunk_elems)};
  if (is_scales) out->parents.push_back(ObjectOf(DType::kF32, 1, 1, 1));
  out->params = {std::byte{is_scales}};
}

/// Blocks of ggml, or floats, given weights (15): made again or not, of heads, of matrices,
/// transposed, with importance.
inline void TakeGgmlBinding(FuzzInput* in, DType child, BindingCase* out) {
  static constexpr DType kParents[] = {DType::kBF16, DType::kF16, DType::kF32,  DType::kQ8_0,
                                       DType::kQ6K,  DType::kQ4K, DType::kMxfp4};
  scheme::ggml::GgmlParams params;
  params.parent_dtype = kParents[in->Below(std::size(kParents))];
  params.columns = 256 * (1 + in->Below(2));
  params.is_replayed = in->Below(2) != 0;
  params.has_importance = params.is_replayed && in->Below(2) != 0;
  const uint64_t kind = in->Below(4);
  params.plus_one = kind == 0;
  params.via = static_cast<scheme::ggml::Via>(in->Below(3));
  params.matrices = 1 + in->Below(3);
  params.head_rows = params.matrices == 1 ? 2 * in->Below(3) : 0;
  params.is_transposed = kind == 2 && params.matrices == 1 && params.head_rows == 0 &&
                         DTypeBlock(params.parent_dtype) == 1;
  const uint64_t rows = 4 * params.matrices;
  const auto object = [&](DType dtype, uint64_t of_rows) {
    const uint64_t row = params.columns / DTypeBlock(dtype);
    return ObjectOf(dtype, of_rows * row, row, (1 + in->Below(of_rows)) * row);
  };
  out->child = object(child, rows);
  out->chunk = in->Below(out->child.chunk_count());
  out->parents.assign(params.matrices, object(params.parent_dtype, rows / params.matrices));
  if (params.has_importance) {
    const uint64_t form = in->Below(3);
    const uint64_t counts = form == 1 ? 2 : 1;
    params.counts_are_calls = form == 2;
    out->parents.push_back(ObjectOf(DType::kF32, counts * params.columns, params.columns, 4096));
    const DType of_counts = params.counts_are_calls ? DType::kI32 : DType::kF32;
    out->parents.push_back(ObjectOf(of_counts, counts, 1, 4096));
  }
  out->params = scheme::ggml::WriteGgmlParams(params);
}

/// Floats given others of the type (16), as many or not, cut alike or not.
inline void TakeDeltaBinding(FuzzInput* in, BindingCase* out) {
  static constexpr DType kTypes[] = {DType::kBF16, DType::kF16, DType::kF32};
  const DType type = kTypes[in->Below(std::size(kTypes))];
  const uint64_t row_elems = 1 + in->Below(300);
  const auto object = [&](uint64_t rows) {
    return ObjectOf(type, rows * row_elems, row_elems, (1 + in->Below(rows)) * row_elems);
  };
  out->child = object(1 + in->Below(12));
  out->chunk = in->Below(out->child.chunk_count());
  out->parents = {in->Below(2) == 0 ? out->child : object(1 + in->Below(12))};
}

/// One of some plain types, and behind them all block types: inputs count on the order.
inline DType TakeType(FuzzInput* in) {
  static constexpr DType kPlain[] = {DType::kU8,  DType::kI8,  DType::kF16, DType::kBF16,
                                     DType::kF32, DType::kI64, DType::kI16, DType::kF8E4M3};
  constexpr uint64_t kCount = std::size(kPlain);
  constexpr auto kFirstBlocks = static_cast<uint64_t>(DType::kQ4_0);
  const uint64_t number = in->Below(kCount + kDTypeCount - kFirstBlocks);
  return number < kCount ? kPlain[number] : static_cast<DType>(kFirstBlocks + number - kCount);
}

/// At most 4 Ki elements, fewer blocks, in one chunk or two. Without scheme where the parents do
/// not fit it.
inline SchemeId TakeBinding(FuzzInput* in, BindingCase* out) {
  static constexpr DType kCastParents[] = {DType::kF16, DType::kBF16, DType::kF32, DType::kI8};
  const DType dtype = TakeType(in);
  const auto scheme = static_cast<SchemeId>(in->Below(scheme::Schemes().size() + 1));
  if (scheme == 3 || scheme == 4) {
    TakeGptqBinding(in, scheme == 3, out);
    return scheme;
  }
  if (scheme >= 5 && scheme <= 8) {
    TakeGridBinding(in, scheme, out);
    return scheme;
  }
  if (scheme == 10 || scheme == 11) {
    TakeByInputBinding(in, scheme == 11, out);
    return scheme;
  }
  if (scheme == 12 || scheme == 13) {
    scheme == 12 ? TakeNearBinding(in, out) : TakeExpertBinding(in, out);
    return scheme;
  }
  if (scheme == 14) {
    TakeCastBinding(in, out);
    return scheme;
  }
  if (scheme == 15) {
    TakeGgmlBinding(in, dtype, out);
    return scheme;
  }
  if (scheme == 16) {
    TakeDeltaBinding(in, out);
    return scheme;
  }
  const uint64_t row_elems = 1 + in->Below(DTypeBlock(dtype) > 1 ? 8 : 300);
  const uint64_t rows = std::min<uint64_t>(in->Below(16), 4096 / row_elems);
  const uint64_t elems = rows * row_elems;
  const uint64_t chunk_elems =
      elems > 1 && in->Below(2) != 0 ? std::max(1 + in->Below(elems - 1), (elems + 1) / 2) : elems;
  out->child = ObjectOf(dtype, elems, row_elems, chunk_elems);
  out->chunk = 1;
  if (scheme == kNoScheme || elems == 0) return kNoScheme;
  if (scheme == 2) {
    const DType parent = kCastParents[in->Below(std::size(kCastParents))];
    out->parents.push_back(ObjectOf(parent, elems, row_elems, chunk_elems));
    out->params = {static_cast<std::byte>(parent)};
    return scheme;
  }
  out->parents.push_back(ObjectOf(DType::kI8, elems, row_elems, chunk_elems));
  out->parents.push_back(ObjectOf(DType::kF32, rows, rows, rows));
  return scheme;
}

/// Content of groups of inputs is small numbers, which mostly are groups.
inline std::vector<std::byte> TakeContent(FuzzInput* in, const scheme::ObjectSpec& parent,
                                          uint64_t size) {
  if (parent.dtype != DType::kI32 || parent.row_elems * 4 != size || size > 512) {
    return in->Bytes(size);
  }
  std::vector<std::byte> content(size);
  for (size_t i = 0; i < size; i += 4) content[i] = static_cast<std::byte>(in->Below(5));
  return content;
}

/// The case comes off the front of the input.
inline ChunkCase TakeChunkCase(FuzzInput* in) {
  ChunkCase out;
  BindingCase binding;
  const SchemeId id = TakeBinding(in, &binding);
  out.spec = binding.child;
  if (out.spec.chunk_count() > 1) out.chunk = binding.chunk;
  if (id == kNoScheme) return out;
  auto bound = scheme::BindScheme(id, out.spec, binding.parents, binding.params);
  if (!bound.ok()) return out;
  out.bound = std::move(bound).value();
  const scheme::ChunkAt at{out.spec.first_elem(out.chunk), out.spec.chunk_elem_count(out.chunk)};
  for (size_t p = 0; p < binding.parents.size(); ++p) {
    const bool is_whole = out.bound->TakeOf(p) == scheme::Take::kWhole;
    const uint64_t size = is_whole ? binding.parents[p].byte_size : out.bound->NeedOf(p, at).size();
    out.contents.push_back(TakeContent(in, binding.parents[p], size));
    out.parents.push_back({{}, is_whole});
  }
  for (size_t p = 0; p < out.parents.size(); ++p) out.parents[p].bytes = out.contents[p];
  return out;
}

}  // namespace qstore::fuzz
