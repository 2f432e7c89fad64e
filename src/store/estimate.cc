// SPDX-License-Identifier: Apache-2.0
#include "qstore/estimate.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "format/layout.h"
#include "qstore/archive.h"
#include "store/estimate_objects.h"
#include "store/pack_encoder.h"
#include "store/pack_index.h"
#include "store/pack_plan.h"
#include "store/sample_cache.h"
#include "store/source_checks.h"
#include "store/source_model.h"

namespace qstore {
namespace store {
namespace {

/// An archive without payloads: enough to open it, and to ask what its variants take.
class Outline final : public ByteSource {
 public:
  static Result<std::shared_ptr<const ByteSource>> Make(const PackPlan& plan,
                                                        EncodedObjects encoded) {
    auto outline = std::make_shared<Outline>();
    format::Header().EncodeTo(&outline->header_);
    outline->end_offset_ = outline->header_.size();
    for (const format::ChunkEntry& chunk : encoded.chunks) {
      outline->end_offset_ += chunk.stored_size;
    }
    const format::Index index = MakeIndex(plan, std::move(encoded));
    QSTORE_ASSIGN(outline->end_, EncodeEnd(index, outline->end_offset_));
    return std::shared_ptr<const ByteSource>(std::move(outline));
  }

  uint64_t size() const override { return end_offset_ + end_.size(); }

  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    const bool is_end = offset >= end_offset_;
    const std::vector<std::byte>& bytes = is_end ? end_ : header_;
    const uint64_t begin = is_end ? offset - end_offset_ : offset;
    if (begin > bytes.size() || out.size() > bytes.size() - begin) {
      return InternalError("an estimate has no payloads");
    }
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(begin), out.size(), out.begin());
    return {};
  }

 private:
  std::vector<std::byte> header_;
  uint64_t end_offset_ = 0;
  std::vector<std::byte> end_;  // Index and footer.
};

using Direct = std::vector<std::string>;

class PackEstimator {
 public:
  PackEstimator(std::vector<SourceVariant> sources, const PackOptions& options)
      : sources_(std::move(sources)),
        options_(options),
        threads_(AffordableThreads(options, base::ThreadCount(options.threads))) {}

  Result<PackEstimate> Run() {
    PackEstimate estimate;
    estimate.source_bytes = SourceBytes(sources_);
    source_bytes_ = estimate.source_bytes;
    for (const Direct& direct : Arrangements()) {
      QSTORE_ASSIGN(ArrangementEstimate arrangement, Estimate(direct));
      estimate.arrangements.push_back(std::move(arrangement));
    }
    return estimate;
  }

 private:
  std::vector<Direct> Arrangements() const {
    std::vector<Direct> wanted = {options_.direct, {}};
    for (const SourceVariant& variant : sources_) {
      const auto& parents = options_.parents;
      const bool is_child =
          std::any_of(parents.begin(), parents.end(),
                      [&](const ParentChoice& choice) { return choice.child == variant.name; });
      if (!is_child && sources_.size() > 1) wanted.push_back({variant.name});
    }
    std::vector<Direct> distinct;
    std::set<std::set<std::string>> seen;
    for (Direct& direct : wanted) {
      if (seen.insert({direct.begin(), direct.end()}).second) distinct.push_back(std::move(direct));
    }
    return distinct;
  }

  Result<ArrangementEstimate> Estimate(const Direct& direct) {
    const auto poll = [this]() -> Status {
      const bool goes_on = !options_.progress || options_.progress({0, source_bytes_});
      return goes_on ? Status() : Cancelled();
    };
    PlanOptions plan_options{options_.level, threads_, options_.parents, direct, poll};
    plan_options.by_samples = true;
    plan_options.samples = &samples_;
    QSTORE_ASSIGN(const PackPlan plan, MakePlan(sources_, plan_options));
    const EstimateOptions estimate_options{options_.level, threads_, poll, options_.sha256,
                                           &samples_};
    QSTORE_ASSIGN(EncodedObjects encoded, EstimateObjects(plan, estimate_options));
    QSTORE_ASSIGN(auto outline, Outline::Make(plan, std::move(encoded)));
    OpenOptions open;
    open.max_memory = UINT64_MAX;
    QSTORE_ASSIGN(const Archive archive, Archive::Open(std::move(outline), "estimate", open));
    ArrangementEstimate estimate{direct, {}, archive.stored_bytes()};
    for (const SourceVariant& variant : sources_) {
      QSTORE_ASSIGN(const size_t v, archive.FindVariant(variant.name));
      QSTORE_ASSIGN(const VariantSizes sizes, archive.SizesOf(v));
      estimate.variants.push_back(
          {variant.name, SourceBytes({&variant, 1}), sizes.own_bytes, sizes.load_bytes});
    }
    return estimate;
  }

  const std::vector<SourceVariant> sources_;
  const PackOptions& options_;
  const unsigned threads_;
  uint64_t source_bytes_ = 0;
  SampleCache samples_;
};

}  // namespace
}  // namespace store

Result<PackEstimate> EstimatePack(std::span<const VariantSource> variants,
                                  const PackOptions& options) {
  return base::Guarded([&]() -> Result<PackEstimate> {
    QSTORE_ASSIGN(std::vector<store::SourceVariant> sources, store::ListSources(variants));
    return store::PackEstimator(std::move(sources), options).Run();
  });
}

}  // namespace qstore
