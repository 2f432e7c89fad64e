// SPDX-License-Identifier: Apache-2.0
#include "scheme/registry.h"

#include <algorithm>
#include <string>

#include "base/status_macros.h"
#include "format/limits.h"
#include "scheme/awq/awq.h"
#include "scheme/bitsandbytes/nested_scales.h"
#include "scheme/cast/cast.h"
#include "scheme/delta/delta.h"
#include "scheme/ggml/ggml.h"
#include "scheme/gpt_oss/gpt_oss.h"
#include "scheme/gptq/gptq.h"
#include "scheme/grid/grid_schemes.h"
#include "scheme/llm_int8/llm_int8.h"
#include "scheme/mxfp4_cast/mxfp4_cast.h"

namespace qstore::scheme {
namespace {

// Chunk i of both is of the same elements: as needs are linear, the first and the last one tell.
bool GoByChunks(const Bound& bound, size_t p, const ObjectSpec& parent) {
  const ObjectSpec& child = bound.child();
  const uint64_t count = child.chunk_count();
  if (parent.chunk_count() != count) return false;
  if (count == 0) return true;
  for (const uint64_t chunk : {uint64_t{0}, count - 1}) {
    const Region need = bound.NeedOf(p, {child.first_elem(chunk), child.chunk_elem_count(chunk)});
    const uint64_t begin = parent.first_elem(chunk) * parent.elem_bytes();
    const uint64_t size = parent.chunk_elem_count(chunk) * parent.elem_bytes();
    if (need.runs != 1 || need.begin != begin || need.run != size) return false;
  }
  return true;
}

// All chunks are looked at: what they need is the scheme's to say, and need not be linear.
Status CheckRanges(const Bound& bound, size_t p, const ObjectSpec& parent) {
  const ObjectSpec& child = bound.child();
  const ChunkRange chunks = bound.ChunksTaking(p);
  for (uint64_t chunk = chunks.first; chunk < chunks.end; ++chunk) {
    const Region need = bound.NeedOf(p, {child.first_elem(chunk), child.chunk_elem_count(chunk)});
    if (need.size() == 0) continue;
    if (need.begin > parent.byte_size || need.end() > parent.byte_size) {
      return Corrupt("a chunk needs bytes beyond the end of its parent");
    }
    if (CoveredBytes(need, parent.chunk_bytes(), parent.byte_size) > format::kMaxRangeBytes) {
      return LimitExceeded("a chunk needs more than 64 MiB of its parent");
    }
  }
  return {};
}

Status CheckTakes(const Bound& bound, std::span<const ObjectSpec> parents) {
  size_t by_chunks = 0;
  for (size_t p = 0; p < bound.parent_count(); ++p) {
    if (bound.TakeOf(p) == Take::kChunk) {
      if (++by_chunks > 1) return InternalError("two parents are taken by chunks");
      if (!GoByChunks(bound, p, parents[p]))
        return Corrupt("its chunks and those of its parent are not of the same elements");
    } else if (bound.TakeOf(p) == Take::kRange) {
      QSTORE_TRY(CheckRanges(bound, p, parents[p]));
    } else if (parents[p].byte_size > format::kMaxWholeBytes) {
      return LimitExceeded("a parent that each chunk takes whole has more than 512 MiB");
    }
  }
  return {};
}

}  // namespace

std::span<const Scheme* const> Schemes() {
  static const Scheme* const kSchemes[] = {
      &LlmInt8(),       // floats given codes of LLM.int8()
      &Cast(),          // floats given other floats
      &GptqFloats(),    // floats given codes of GPTQ
      &GptqIntegers(),  // codes of GPTQ given others
      &GridCodes(),     // codes given floats
      &GridScales(),    // scales given floats
      &GridWeights(),   // floats given codes
      &GridValues(),    // floats that are the values of codes
      &NestedScales(),  // scales that were quantized, given floats
      &GptqCodes(),     // codes of GPTQ given floats
      &AwqCodes(),      // codes of AWQ given floats
      &GridNear(),      // codes near those of rounding
      &ExpertValues(),  // floats that are the values of gpt-oss
      &Mxfp4Cast(),     // NVFP4 given MXFP4
      &Ggml(),          // blocks of GGUF given floats or blocks
      &Delta(),         // floats given those of another model
  };
  return kSchemes;
}

const Scheme* FindScheme(SchemeId id) {
  const auto schemes = Schemes();
  const auto found =
      std::find_if(schemes.begin(), schemes.end(), [id](const Scheme* s) { return s->id() == id; });
  return found == schemes.end() ? nullptr : *found;
}

Result<std::unique_ptr<const Bound>> BindScheme(SchemeId id, const ObjectSpec& child,
                                                std::span<const ObjectSpec> parents,
                                                std::span<const std::byte> params) {
  const Scheme* scheme = FindScheme(id);
  if (scheme == nullptr) {
    return Status(ErrorCode::kUnsupportedFeature,
                  "scheme " + std::to_string(id) + " is unknown here");
  }
  QSTORE_ASSIGN(auto bound, scheme->Bind(child, parents, params));
  QSTORE_TRY(CheckTakes(*bound, parents));
  return bound;
}

}  // namespace qstore::scheme
