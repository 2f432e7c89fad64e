// SPDX-License-Identifier: Apache-2.0
#include "store/select_objects.h"

#include <algorithm>

#include "store/object_graph.h"

namespace qstore::store {
namespace {

// Calls visit(object) for each object of the file.
template <class Visit>
void ForEachPart(const format::Index& index, const format::FileEntry& file, const Visit& visit) {
  for (uint32_t p = file.parts.begin; p < file.parts.end; ++p) visit(index.parts[p]);
}

/// Lists objects once each, behind parents of theirs that no file has.
class NewOrder {
 public:
  explicit NewOrder(const format::Index& index)
      : index_(index), in_files_(ObjectsOfFiles(index)), is_listed_(index.objects.size()) {}

  std::vector<uint32_t> Run() {
    for (const format::VariantEntry& variant : index_.variants) {
      const auto for_files = [&](const auto& visit) {
        for (uint32_t f = variant.files.begin; f < variant.files.end; ++f) visit(index_.files[f]);
      };
      std::vector<uint32_t> parents;
      for_files([&](const format::FileEntry& file) {
        ForEachPart(index_, file, [&](uint32_t id) { AddParents(id, &parents); });
      });
      std::sort(parents.begin(), parents.end());
      order_.insert(order_.end(), parents.begin(), parents.end());
      for (const bool has_structure : {false, true}) {
        for_files([&](const format::FileEntry& file) {
          if ((file.container != kNoContainer) != has_structure) return;
          ForEachPart(index_, file, [&](uint32_t id) { List(id, &order_); });
        });
      }
    }
    return std::move(order_);
  }

 private:
  void List(uint32_t id, std::vector<uint32_t>* to) {
    if (is_listed_[id]) return;
    is_listed_[id] = true;
    to->push_back(id);
  }

  // The depth of calls is that of ancestors.
  void AddParents(uint32_t id, std::vector<uint32_t>* parents) {
    for (const uint32_t parent : index_.parents_of(index_.objects[id])) {
      if (in_files_[parent] || is_listed_[parent]) continue;
      List(parent, parents);
      AddParents(parent, parents);
    }
  }

  const format::Index& index_;
  const std::vector<bool> in_files_;
  std::vector<bool> is_listed_;
  std::vector<uint32_t> order_;
};

// What SelectObjects makes.
class Selection {
 public:
  Selection(const format::Index& index, std::span<const uint32_t> objects)
      : from_(index), number_of_(index.objects.size(), kNoObject) {
    for (uint32_t i = 0; i < objects.size(); ++i) number_of_[objects[i]] = i;
    for (const uint32_t id : objects) AddObject(from_.objects[id]);
  }

  format::Index Run(const std::vector<bool>& variants) {
    for (size_t v = 0; v < variants.size(); ++v) {
      if (!variants[v]) continue;
      const format::VariantEntry& variant = from_.variants[v];
      const uint32_t first = Count(to_.files);
      for (uint32_t f = variant.files.begin; f < variant.files.end; ++f) AddFile(f);
      to_.variants.push_back({variant.name, {first, Count(to_.files)}});
    }
    return std::move(to_);
  }

 private:
  static uint32_t Count(const auto& table) { return static_cast<uint32_t>(table.size()); }

  void AddObject(const format::ObjectEntry& object) {
    format::ObjectEntry added = object;
    added.parents.begin = Count(to_.parents);
    for (const uint32_t parent : from_.parents_of(object)) {
      to_.parents.push_back(number_of_[parent]);
    }
    added.parents.end = Count(to_.parents);
    added.first_chunk = Count(to_.chunks);
    const auto first = from_.chunks.begin() + object.first_chunk;
    to_.chunks.insert(to_.chunks.end(), first, first + object.chunk_count);
    to_.objects.push_back(added);
  }

  void AddFile(uint32_t f) {
    const format::FileEntry& file = from_.files[f];
    format::FileEntry added = file;
    added.parts.begin = Count(to_.parts);
    ForEachPart(from_, file, [&](uint32_t id) { to_.parts.push_back(number_of_[id]); });
    added.parts.end = Count(to_.parts);
    added.tensors.begin = Count(to_.tensors);
    for (uint32_t t = file.tensors.begin; t < file.tensors.end; ++t) {
      format::TensorEntry tensor = from_.tensors[t];
      const auto shape = from_.shape(tensor);
      tensor.part += added.parts.begin - file.parts.begin;
      tensor.shape_begin = Count(to_.dims);
      to_.dims.insert(to_.dims.end(), shape.begin(), shape.end());
      to_.tensors.push_back(tensor);
    }
    added.tensors.end = Count(to_.tensors);
    to_.files.push_back(added);
    if (!from_.sha256.empty()) to_.sha256.push_back(from_.sha256[f]);
  }

  const format::Index& from_;
  std::vector<uint32_t> number_of_;  // By object: its new number.
  format::Index to_;
};

}  // namespace

std::vector<uint32_t> ObjectsNeeded(const format::Index& index, const std::vector<bool>& variants) {
  std::vector<bool> is_needed(index.objects.size());
  std::vector<uint32_t> left;
  const auto need = [&](uint32_t id) {
    if (is_needed[id]) return;
    is_needed[id] = true;
    left.push_back(id);
  };
  for (size_t v = 0; v < variants.size(); ++v) {
    if (!variants[v]) continue;
    const format::Range files = index.variants[v].files;
    for (uint32_t f = files.begin; f < files.end; ++f) ForEachPart(index, index.files[f], need);
  }
  while (!left.empty()) {
    const uint32_t id = left.back();
    left.pop_back();
    for (const uint32_t parent : index.parents_of(index.objects[id])) need(parent);
  }
  std::vector<uint32_t> needed;
  for (uint32_t id = 0; id < is_needed.size(); ++id) {
    if (is_needed[id]) needed.push_back(id);
  }
  return needed;
}

std::vector<uint32_t> OrderOfNewArchive(const format::Index& index) {
  return NewOrder(index).Run();
}

format::Index SelectObjects(const format::Index& index, const std::vector<bool>& variants,
                            std::span<const uint32_t> objects) {
  return Selection(index, objects).Run(variants);
}

}  // namespace qstore::store
