// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/ggml_bound.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/bytes.h"
#include "base/float_mode.h"
#include "base/status_macros.h"
#include "scheme/checks.h"
#include "scheme/ggml/block_coder.h"
#include "scheme/ggml/ggml_checks.h"
#include "scheme/ggml/search/search.h"
#include "scheme/ggml/unlike_blocks.h"
#include "scheme/ggml/weight_rows.h"
#include "scheme/grid/listed.h"

namespace qstore::scheme::ggml {
namespace {

constexpr std::string_view kRule = "ggml";
// Beyond this share of the raw size a chunk may be worth coding alone.
constexpr double kSuspiciousShare = 0.55;

struct GgmlScratch {
  ValueScratch values;
  std::vector<float> room;
  std::vector<float> weights;
  std::vector<float> importance;
  std::vector<std::byte> made;  // By the encoder: the decoder makes blocks where they belong.
  UnlikeScratch unlike;
  SearchScratch search;
};

class BoundGgml final : public Bound {
 public:
  BoundGgml(const ObjectSpec& child, std::span<const ObjectSpec> parents, const GgmlParams& params)
      : Bound(child, parents),
        params_(params),
        block_(DTypeBlock(child.dtype)),
        weight_count_(child.elem_count() * block_),
        goes_by_chunks_(GoesByChunks(parents[0])) {
    if (params.has_importance) {
      counted_ = ImportanceParts(params, parents);
    }
  }

  Take TakeOf(size_t parent) const override {
    // A chunk has a part of each row of a transposed matrix: by range it would decode nearly all.
    if (parent >= params_.matrices || params_.is_transposed) return Take::kWhole;
    return goes_by_chunks_ ? Take::kChunk : Take::kRange;
  }
  ChunkRange ChunksTaking(size_t parent) const override {
    if (parent >= params_.matrices || params_.matrices == 1) return Bound::ChunksTaking(parent);
    const uint64_t per_chunk = child().chunk_elems * block_;
    const uint64_t begin = parent * per_matrix();
    return {begin / per_chunk, (begin + per_matrix() - 1) / per_chunk + 1};
  }
  Region NeedOf(size_t parent, const ChunkAt& at) const override {
    if (parent >= params_.matrices) return Whole(parent);
    const WeightRange here = RangeIn(parent, RangeOf(at));
    return here.count == 0 ? Region{} : RegionOf(params_, per_matrix(), here);
  }

  Fit Encode(const ChunkAt& at, std::span<const ParentContent> parents,
             std::span<const std::byte> raw, codec::Effort effort, Scratch* scratch,
             std::vector<std::byte>* out) const override {
    const base::FloatMode ieee;
    auto* own = scratch->Of<GgmlScratch>();
    if (!IsWhole(at)) return Fit::kNone;
    if (block_ > 1 && !params_.is_replayed) {
      BlockCoder(child().dtype, &own->unlike.coder)
          .Encode(ReaderOf(at, parents, own), {}, raw, effort, out);
      return FitOf(raw, *out);
    }
    own->made.resize(raw.size());
    Make(at, parents, own, own->made);
    if (block_ == 1) {
      return FitOfListed(EncodeListed(own->made, raw, child().elem_bytes(), out), at.elem_count);
    }
    if (std::equal(raw.begin(), raw.end(), own->made.begin())) return Fit::kSure;
    EncodeUnlike(child().dtype, own->weights, own->made, raw, effort, &own->unlike, out);
    return FitOf(raw, *out);
  }

  Status Decode(const ChunkAt& at, std::span<const ParentContent> parents,
                base::ByteReader* payload, Scratch* scratch,
                std::span<std::byte> raw) const override {
    const base::FloatMode ieee;
    auto* own = scratch->Of<GgmlScratch>();
    if (block_ > 1 && !params_.is_replayed) {
      return BlockCoder(child().dtype, &own->unlike.coder)
          .Decode(payload, ReaderOf(at, parents, own), {}, raw);
    }
    Make(at, parents, own, raw);
    if (block_ == 1) return DecodeListed(payload, child().elem_bytes(), kRule, raw);
    if (payload->remaining() == 0) return {};
    return DecodeUnlike(child().dtype, payload, own->weights, &own->unlike, raw);
  }

  uint64_t ScratchBytes(uint64_t chunk_bytes) const override {
    const uint64_t weights = chunk_bytes / child().elem_bytes() * block_;
    const uint64_t floats = (params_.is_replayed ? 3 : 2) * sizeof(float) * weights;
    return floats + 3 * chunk_bytes + BlockCoderBytes(weights) + 4 * weights + RoomBytes(weights);
  }

 private:
  // Of what the parent has of some weights where they are put into another order, or are blocks.
  uint64_t RoomBytes(uint64_t weights) const {
    if (params_.is_transposed) return kTransposingBytes;
    const uint64_t block = DTypeBlock(params_.parent_dtype);
    if (params_.head_rows == 0 && block == 1) return 0;
    const uint64_t head = params_.head_rows * params_.columns;
    return (sizeof(float) + (block == 1 ? 0 : 3)) * (weights + 2 * std::max(head, block));
  }

  static Fit FitOf(std::span<const std::byte> raw, const std::vector<std::byte>& payload) {
    const auto raw_size = static_cast<double>(raw.size());
    const bool is_sure = static_cast<double>(payload.size()) < kSuspiciousShare * raw_size;
    return is_sure ? Fit::kSure : Fit::kMaybe;
  }

  // Weights in the order of the parent are made floats when they are asked for.
  WeightReader ReaderOf(const ChunkAt& at, std::span<const ParentContent> parents,
                        GgmlScratch* own) const {
    const bool is_plain = params_.matrices == 1 && params_.head_rows == 0 &&
                          params_.via == Via::kNone && !params_.plus_one &&
                          !params_.is_transposed && DTypeBlock(params_.parent_dtype) == 1;
    if (!is_plain) {
      TakeFrom(at, parents, own);
      return [own](size_t first, size_t count) {
        return std::span<const float>(own->weights).subspan(first, count);
      };
    }
    const std::span<const std::byte> content = parents[0].bytes;
    return [this, content, own](size_t first, size_t count) {
      const size_t bytes = DTypeBits(params_.parent_dtype) / 8;
      own->weights.resize(std::max(own->weights.size(), count));
      const auto weights = std::span(own->weights).first(count);
      ValuesOf(params_.parent_dtype, content.subspan(first * bytes, count * bytes), &own->values,
               weights);
      return std::span<const float>(weights);
    };
  }

  WeightRange RangeOf(const ChunkAt& at) const {
    return {at.first_elem * block_, at.elem_count * block_};
  }

  uint64_t per_matrix() const { return weight_count_ / params_.matrices; }

  // What a matrix has of those weights, counted from its first one.
  WeightRange RangeIn(uint64_t matrix, const WeightRange& range) const {
    const uint64_t begin = matrix * per_matrix();
    const uint64_t first = std::max(range.first, begin);
    const uint64_t end = std::min(range.first + range.count, begin + per_matrix());
    return first < end ? WeightRange{first - begin, end - first} : WeightRange{};
  }

  // What is made again is made of whole rows.
  bool IsWhole(const ChunkAt& at) const {
    const WeightRange range = RangeOf(at);
    if (block_ == 1 || !params_.is_replayed) return true;
    return range.first % params_.columns == 0 && range.count % params_.columns == 0;
  }

  bool GoesByChunks(const ObjectSpec& parent) const {
    const uint64_t per_chunk = child().chunk_elems * block_;
    if (params_.matrices > 1 || params_.is_transposed) return false;
    const bool keeps_places =
        params_.head_rows == 0 || per_chunk % (params_.head_rows * params_.columns) == 0;
    const uint64_t parent_block = DTypeBlock(params_.parent_dtype);
    return keeps_places && parent.chunk_elems * parent_block == per_chunk &&
           DTypeBits(parent.dtype) == DTypeBits(params_.parent_dtype);
  }

  void TakeFrom(const ChunkAt& at, std::span<const ParentContent> parents, GgmlScratch* own) const {
    const WeightRange range = RangeOf(at);
    own->weights.resize(range.count);
    uint64_t done = 0;
    for (uint64_t m = range.first / per_matrix(); done < range.count; ++m) {
      const WeightRange here = RangeIn(m, range);
      TakeWeights(params_, per_matrix(), here, parents[m], &own->values, &own->room,
                  std::span(own->weights).subspan(done, here.count));
      done += here.count;
    }
  }

  // Fills `out` with what weights become: floats of the child's type, or its blocks.
  void Make(const ChunkAt& at, std::span<const ParentContent> parents, GgmlScratch* own,
            std::span<std::byte> out) const {
    TakeFrom(at, parents, own);
    if (block_ == 1) {
      RoundTo(child().dtype, own->weights, out);
    } else {
      MakeBlocks(at, parents, own, out);
    }
  }

  void MakeBlocks(const ChunkAt& at, std::span<const ParentContent> parents, GgmlScratch* own,
                  std::span<std::byte> out) const {
    const DType dtype = child().dtype;
    const uint64_t columns = params_.columns;
    if (!params_.has_importance) {
      QuantizeRows(dtype, own->weights, columns, {}, out, &own->search);
      return;
    }
    const uint64_t rows_of_matrix = std::max<uint64_t>(1, weight_count_ / columns / counted_);
    const uint64_t first_row = RangeOf(at).first / columns;
    const uint64_t rows = own->weights.size() / columns;
    for (uint64_t done = 0; done < rows;) {
      const uint64_t matrix = std::min((first_row + done) / rows_of_matrix, counted_ - 1);
      const uint64_t end = matrix == counted_ - 1 ? UINT64_MAX : (matrix + 1) * rows_of_matrix;
      const uint64_t count = std::min(rows - done, end - (first_row + done));
      FindImportance(matrix, parents, own);
      const uint64_t row_bytes = columns / block_ * child().elem_bytes();
      QuantizeRows(dtype, std::span(own->weights).subspan(done * columns, count * columns), columns,
                   own->importance, out.subspan(done * row_bytes, count * row_bytes), &own->search);
      done += count;
    }
  }

  // What the sums of a matrix are divided by, if that is above 0.
  float CountOf(uint64_t matrix, std::span<const ParentContent> parents) const {
    const std::byte* counts = parents[params_.matrices + 1].bytes.data();
    if (params_.counts_are_calls) {
      return static_cast<float>(static_cast<int32_t>(base::LoadLe<uint32_t>(counts)));
    }
    return std::bit_cast<float>(base::LoadLe<uint32_t>(counts + sizeof(float) * matrix));
  }

  // The mean of the squares of what each column is multiplied with. Where nothing was counted it is
  // 1, or without calls what stands there.
  void FindImportance(uint64_t matrix, std::span<const ParentContent> parents,
                      GgmlScratch* own) const {
    const float count = CountOf(matrix, parents);
    own->importance.resize(params_.columns);
    const std::byte* sums =
        parents[params_.matrices].bytes.data() + sizeof(float) * matrix * params_.columns;
    for (uint64_t c = 0; c < params_.columns; ++c) {
      const auto sum = std::bit_cast<float>(base::LoadLe<uint32_t>(sums + sizeof(float) * c));
      const float uncounted = params_.counts_are_calls ? sum : 1.0f;
      own->importance[c] = count > 0 ? sum / count : uncounted;
    }
  }

  GgmlParams params_;
  uint64_t block_;
  uint64_t weight_count_;
  uint64_t counted_ = 1;  // Matrices that importance is told of.
  bool goes_by_chunks_;
};

}  // namespace

Result<std::unique_ptr<const Bound>> BindGgml(const ObjectSpec& child,
                                              std::span<const ObjectSpec> parents,
                                              const GgmlParams& params) {
  QSTORE_TRY(CheckGgml(child, parents, params));
  return std::unique_ptr<const Bound>(new BoundGgml(child, parents, params));
}

}  // namespace qstore::scheme::ggml
