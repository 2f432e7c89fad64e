// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/disk_ids.h"
#include "codec/floating.h"
#include "qstore/dtype.h"
#include "qstore/level.h"
#include "qstore/status.h"
#include "scheme/object_spec.h"
#include "scheme/quantized_weights.h"
#include "scheme/region.h"
#include "scheme/scratch.h"
#include "scheme/tensor_table.h"

// What a scheme is: how an object, the child, follows from other objects, its parents. A scheme is
// a folder here and a row of registry.cc; nobody else knows one by name.

namespace qstore::scheme {

/// How the chunks of a child take a parent.
enum class Take : uint8_t {
  kWhole,  ///< Each chunk takes all of the parent's content.
  kChunk,  ///< Chunk i of the child takes chunk i of the parent, and both have as many chunks.
  kRange,  ///< Each chunk takes what Bound::NeedOf says, of whichever chunks of the parent.
};

/// Elements of the child that are coded together: a chunk, or a sample of one.
struct ChunkAt {
  uint64_t first_elem = 0;
  uint64_t elem_count = 0;
};

/// Content of a parent.
struct ParentContent {
  std::span<const std::byte> bytes;
  bool is_whole = true;  ///< Else the bytes are what Bound::NeedOf says, the runs end to end.
};

/// How well the parents explain a chunk.
enum class Fit : uint8_t {
  kNone,   ///< Not at all: nothing was appended.
  kMaybe,  ///< Coding the chunk alone may take fewer bytes.
  kSure,   ///< It cannot.
};

/// A scheme with a child, its parents and its parameters, all of which have been checked to fit one
/// another. Immutable; threads may share it.
class Bound {
 public:
  Bound(const ObjectSpec& child, std::span<const ObjectSpec> parents)
      : child_(child), parent_count_(static_cast<uint32_t>(parents.size())) {
    if (parents.size() > kInline) more_ = std::make_unique<uint64_t[]>(parents.size() - kInline);
    for (size_t p = 0; p < parents.size(); ++p) {
      (p < kInline ? sizes_[p] : more_[p - kInline]) = parents[p].byte_size;
    }
  }
  virtual ~Bound() = default;
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;

  const ObjectSpec& child() const { return child_; }
  size_t parent_count() const { return parent_count_; }
  uint64_t parent_bytes(size_t p) const { return p < kInline ? sizes_[p] : more_[p - kInline]; }

  /// At most one parent is taken by chunks.
  virtual Take TakeOf(size_t parent) const = 0;
  /// What those elements need of the parent. Of one taken by chunks: one run, linear in `at`, which
  /// is the parent's chunk when the elements are a chunk of the child.
  virtual Region NeedOf(size_t parent, const ChunkAt& at) const {
    (void)at;
    return Whole(parent);
  }

  /// The chunks that may need something of a parent taken by ranges. No other needs any.
  virtual ChunkRange ChunksTaking(size_t parent) const {
    (void)parent;
    return {0, child_.chunk_count()};
  }

  /// Appends a payload without slack from which Decode makes `raw`. `parents` have the sizes that
  /// the region or the parent has.
  virtual Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
                     std::span<const std::byte> raw, codec::Effort effort, Scratch* scratch,
                     std::vector<std::byte>* out) const = 0;
  /// Fills `raw`. Safe for any payload: kCorrupt naming the rule, or wrong content, which the
  /// caller's checksum of the payload excludes beforehand.
  virtual Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                        base::ByteReader* payload, Scratch* scratch,
                        std::span<std::byte> raw) const = 0;
  /// Bytes of scratch memory that decoding a chunk of `chunk_bytes` takes, beyond what it has for a
  /// chunk without parents.
  virtual uint64_t ScratchBytes(uint64_t chunk_bytes) const {
    (void)chunk_bytes;
    return 0;
  }

 protected:
  Region Whole(size_t parent) const { return {0, parent_bytes(parent), 0, 1}; }

 private:
  // There are as many of these as tensors: most have few parents, whose sizes lie here.
  static constexpr size_t kInline = 2;

  ObjectSpec child_;
  uint32_t parent_count_;
  uint64_t sizes_[kInline] = {};
  std::unique_ptr<uint64_t[]> more_;
};

/// A parent as it was found: a tensor's position in the table of the child's own variant, of the
/// other one, or of the side.
struct ParentRef {
  bool is_own = false;
  size_t tensor = 0;
  bool is_side = false;
};

class Scheme;

/// A way to explain a tensor by others.
struct Edge {
  const Scheme* scheme = nullptr;
  std::vector<std::byte> params;
  std::vector<ParentRef> parents;
  /// The child is to be cut so that its chunks are those of the first parent, which has as many.
  bool follows_chunks = false;
  Level from_level = Level::kFast;  ///< Below it, what decoding takes is too much.
  /// Tried where no edge that is none explains the tensor.
  bool is_fallback = false;
};

/// How a tensor of words that hold several weights each is cut.
struct Packing {
  uint64_t chunk_elems = 0;
  uint64_t sample_elems = 0;
  uint64_t packed_weights = 0;
};

class Scheme {
 public:
  virtual ~Scheme() = default;

  /// On disk. NOTE: never change that of a scheme.
  virtual SchemeId id() const = 0;
  /// As users see it.
  virtual std::string_view name() const = 0;

  /// Appends the edges from tensors of `other` (and further ones of `own`) to `target`, one of
  /// `own`, best guess first. Looks at names, types and shapes; a wrong guess costs bytes only.
  virtual void Detect(const TensorDesc& target, const TensorTable& own, const TensorTable& other,
                      std::vector<Edge>* edges) const = 0;

  /// Whether a variant with these tensors is a side: it tells how tensors of others were made.
  virtual bool IsSide(const TensorTable& table) const {
    (void)table;
    return false;
  }
  /// The edges that Detect would append if it knew a side, which may be any variant.
  virtual void DetectWith(const TensorDesc& target, const TensorTable& own,
                          const TensorTable& other, const TensorTable& side,
                          std::vector<Edge>* edges) const {
    (void)target;
    (void)own;
    (void)other;
    (void)side;
    (void)edges;
  }

  /// All checks of parents and parameters, the same for the writer and the reader. Errors: kCorrupt
  /// and kLimit, naming the rule of docs/format-coding.md.
  virtual Result<std::unique_ptr<const Bound>> Bind(const ObjectSpec& child,
                                                    std::span<const ObjectSpec> parents,
                                                    std::span<const std::byte> params) const = 0;

  /// For a tensor that this scheme packs: how it is cut. `others` are those of other variants.
  virtual std::optional<Packing> PackingOf(const TensorDesc& tensor, const TensorTable& own,
                                           std::span<const TensorTable* const> others,
                                           Level level) const {
    (void)tensor;
    (void)own;
    (void)others;
    (void)level;
    return std::nullopt;
  }
  /// Whether a tensor with this name and type is one of quantized weights.
  virtual bool IsQuantized(const TensorDesc& tensor) const {
    (void)tensor;
    return false;
  }

  /// The module whose weights a tensor with this name, type and shape holds as codes of this
  /// scheme; nothing for other tensors. Of schemes for one format, one tells.
  virtual std::optional<std::string_view> ModuleOfCodes(const TensorDesc& tensor) const {
    (void)tensor;
    return std::nullopt;
  }
  /// The weights whose codes are in a tensor of `own` that ModuleOfCodes has a module for. Null,
  /// with the reason, where the tensors do not fit one another.
  virtual std::unique_ptr<const QuantizedWeights> WeightsOf(size_t codes, const TensorTable& own,
                                                            Refusal* refusal) const {
    (void)own;
    *refusal = {codes, "of no scheme that is known"};
    return nullptr;
  }
};

}  // namespace qstore::scheme
