// SPDX-License-Identifier: Apache-2.0
#include "store/sample_cache.h"

namespace qstore::store {

void SampleKey::AddNumber(uint64_t number) {
  text_.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void SampleKey::AddObject(uint32_t object) {
  const PlannedObject& planned = plan_.objects[object];
  // A file stays open for as long as its variants are there, so that its address names it.
  AddNumber(reinterpret_cast<uintptr_t>(plan_.file(planned.place).file.get()));
  AddNumber(plan_.part(planned.place).begin);
  AddNumber(planned.spec.byte_size);
  AddNumber(planned.spec.chunk_elems);
}

void SampleKey::AddEdge(SchemeId scheme, std::span<const std::byte> params,
                        std::span<const uint32_t> parents, uint64_t chunk_elems) {
  AddNumber(scheme);
  AddNumber(params.size());
  text_.append(reinterpret_cast<const char*>(params.data()), params.size());
  AddNumber(parents.size());
  for (const uint32_t parent : parents) AddObject(parent);
  AddNumber(chunk_elems);
}

}  // namespace qstore::store
