// SPDX-License-Identifier: Apache-2.0
#include "store/chunk_samples.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>

#include "base/hash.h"
#include "store/sample_cache.h"

namespace qstore::store {
namespace {

// Elements that are coded of all variants: as few as tell the size of an archive within 1 %.
constexpr double kSampledElems = 1 << 24;
// Of each class of objects so many chunks at least.
constexpr uint64_t kFewestChunks = 4;

/// Objects whose chunks are much alike: tensors of one kind and shape. A header, or a file that
/// holds no tensors, is like nothing else.
struct Class {
  std::vector<uint32_t> objects;
  uint64_t chunks = 0;
};

std::vector<Class> ClassesOf(const PackPlan& plan) {
  std::map<std::string, size_t> by_key;
  std::vector<Class> classes;
  for (uint32_t id = 0; id < plan.objects.size(); ++id) {
    const PlannedObject& object = plan.objects[id];
    if (object.spec.byte_size == 0) continue;
    SampleKey key(&plan);
    if (plan.part(object.place).tensor == kNoTensor) key.AddNumber(id);
    key.AddNumber(object.spec.byte_size);
    key.AddNumber(object.spec.row_elems);
    key.AddNumber(object.spec.chunk_elems);
    const auto [found, is_new] = by_key.try_emplace(KindOf(plan, id) + key.text(), classes.size());
    if (is_new) classes.emplace_back();
    classes[found->second].objects.push_back(id);
    classes[found->second].chunks += object.spec.chunk_count();
  }
  return classes;
}

double ElemsOf(const PackPlan& plan) {
  double elems = 0;
  for (const PlannedObject& object : plan.objects) {
    elems += static_cast<double>(object.spec.elem_count());
  }
  return elems;
}

// Runs of chunks of a class, each with a sample somewhere in it: the first one of each would be
// that of the same rows in all tensors.
void AddSamples(const PackPlan& plan, const EncodedObjects& laid_out, const Class& members,
                uint64_t count, ChunkSamples* samples) {
  std::vector<ChunkPlace> places;
  places.reserve(members.chunks);
  for (const uint32_t id : members.objects) {
    for (uint32_t c = 0; c < plan.objects[id].spec.chunk_count(); ++c) places.push_back({id, c});
  }
  for (uint64_t s = 0; s < count; ++s) {
    const uint64_t begin = s * members.chunks / count;
    const uint64_t end = (s + 1) * members.chunks / count;
    for (uint64_t i = begin; i < end; ++i) {
      const uint32_t chunk = laid_out.objects[places[i].object].first_chunk + places[i].chunk;
      samples->of_chunk[chunk] = static_cast<uint32_t>(samples->places.size());
    }
    // Samples are chunks at most. NOLINTNEXTLINE(clang-analyzer-core.DivideZero)
    samples->places.push_back(places[begin + Mixed(s) % (end - begin)]);
  }
}

}  // namespace

uint64_t Mixed(uint64_t number) { return base::Hash64(std::as_bytes(std::span(&number, 1))); }

std::string KindOf(const PackPlan& plan, uint32_t id) {
  const PlannedObject& object = plan.objects[id];
  SampleKey key(&plan);
  if (plan.part(object.place).tensor == kNoTensor) return key.text();
  key.AddNumber(object.place.variant);
  key.AddNumber(static_cast<uint64_t>(object.spec.dtype));
  key.AddEdge(object.scheme_id, object.params, {}, 0);
  for (const uint32_t parent : object.parents) {
    key.AddNumber(plan.objects[parent].place.variant);
  }
  return key.text();
}

ChunkSamples ChooseSamples(const PackPlan& plan, const EncodedObjects& laid_out) {
  ChunkSamples samples;
  samples.of_chunk.resize(laid_out.chunks.size());
  const double share = std::min(1.0, kSampledElems / std::max(1.0, ElemsOf(plan)));
  for (const Class& members : ClassesOf(plan)) {
    const auto wanted =
        static_cast<uint64_t>(std::ceil(share * static_cast<double>(members.chunks)));
    const uint64_t count = std::min(members.chunks, std::max(wanted, kFewestChunks));
    AddSamples(plan, laid_out, members, count, &samples);
  }
  return samples;
}

}  // namespace qstore::store
