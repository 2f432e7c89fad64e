// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "scheme/scheme.h"

namespace qstore::scheme {

/// A child of which only exceptions are stored: the elements that are not what its parents predict.
/// The first parent is taken by chunks unless a scheme says otherwise, the others whole.
class PredictedBound : public Bound {
 public:
  /// `rule` names the scheme in errors; it must outlive this.
  PredictedBound(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                 std::string_view rule)
      : Bound(child, parents), rule_(rule) {}

  Take TakeOf(size_t parent) const override { return parent == 0 ? Take::kChunk : Take::kWhole; }
  Region NeedOf(size_t parent, const ChunkAt& at) const final {
    return parent == 0 ? NeedOfFirst(at) : Whole(parent);
  }
  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort effort, Scratch* scratch,
             std::vector<std::byte>* out) const final;
  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch, std::span<std::byte> raw) const final;

 private:
  virtual Region NeedOfFirst(const ChunkAt& at) const = 0;
  /// Whether the first parent's elements can be cut where these are; samples may be cut anywhere.
  virtual bool CanCut(const ChunkAt& at) const {
    (void)at;
    return true;
  }
  /// Fills `out` with what the elements are by the rule.
  virtual void Predict(const ChunkAt& at, std::span<const ParentContent> parents, Scratch* scratch,
                       std::span<std::byte> out) const = 0;

  std::string_view rule_;
};

}  // namespace qstore::scheme
