// SPDX-License-Identifier: Apache-2.0
#include "scheme/grid/predicted_bound.h"

#include "scheme/checks.h"
#include "scheme/grid/listed.h"

namespace qstore::scheme {
namespace {

struct PredictedScratch {
  std::vector<std::byte> predicted;
};

}  // namespace

Fit PredictedBound::Encode(const ChunkAt& at, std::span<const ParentContent> parents,
                           std::span<const std::byte> raw, codec::Effort, Scratch* scratch,
                           std::vector<std::byte>* out) const {
  if (!CanCut(at)) return Fit::kNone;
  std::vector<std::byte>& predicted = scratch->Of<PredictedScratch>()->predicted;
  predicted.resize(raw.size());
  Predict(at, parents, scratch, predicted);
  return FitOfListed(EncodeListed(predicted, raw, child().elem_bytes(), out), at.elem_count);
}

Status PredictedBound::Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                              base::ByteReader* payload, Scratch* scratch,
                              std::span<std::byte> raw) const {
  Predict(at, parents, scratch, raw);
  return DecodeListed(payload, child().elem_bytes(), rule_, raw);
}

}  // namespace qstore::scheme
