// SPDX-License-Identifier: Apache-2.0
#include "store/stored_model.h"

#include <algorithm>
#include <span>
#include <string>
#include <utility>

#include "base/status_macros.h"
#include "container/registry.h"
#include "store/object_graph.h"

namespace qstore::store {
namespace {

/// A file of an archive: objects laid end to end.
class StoredFile final : public ByteSource {
 public:
  StoredFile(std::shared_ptr<StoredContents> contents, std::span<const SourcePart> parts)
      : contents_(std::move(contents)) {
    for (const SourcePart& part : parts) {
      ends_.push_back(part.end);
      objects_.push_back(part.object);
    }
  }

  uint64_t size() const override { return ends_.empty() ? 0 : ends_.back(); }

  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size() || out.size() > size() - offset) {
      return InvalidArgument("read beyond the end of a file of the archive");
    }
    auto part = std::upper_bound(ends_.begin(), ends_.end(), offset);
    for (; !out.empty(); ++part) {
      const auto here = static_cast<size_t>(std::min<uint64_t>(*part - offset, out.size()));
      const auto p = static_cast<size_t>(part - ends_.begin());
      const uint64_t begin = p == 0 ? 0 : ends_[p - 1];
      QSTORE_TRY(contents_->Read(objects_[p], offset - begin, out.first(here)));
      offset += here;
      out = out.subspan(here);
    }
    return {};
  }

 private:
  std::shared_ptr<StoredContents> contents_;
  std::vector<uint64_t> ends_;  // Of the objects.
  std::vector<uint32_t> objects_;
};

class StoredLister {
 public:
  explicit StoredLister(const std::shared_ptr<StoredContents>& contents)
      : contents_(contents), archive_(contents->archive()), index_(archive_.index()) {}

  Result<StoredModel> Run() {
    model_.index = &index_;
    AddObjects();
    for (const format::VariantEntry& entry : index_.variants) {
      SourceVariant variant;
      variant.name = entry.name;
      for (uint32_t f = entry.files.begin; f < entry.files.end; ++f) {
        const auto place = PartPlace{static_cast<uint32_t>(model_.variants.size()),
                                     static_cast<uint32_t>(variant.files.size()), 0};
        QSTORE_ASSIGN(SourceFileEntry file, List(f, place));
        variant.files.push_back(std::move(file));
      }
      model_.variants.push_back(std::move(variant));
    }
    AddObjectsOfNoFile();
    return std::move(model_);
  }

 private:
  void AddObjects() {
    model_.objects.resize(index_.objects.size());
    for (uint32_t id = 0; id < index_.objects.size(); ++id) {
      const format::ObjectEntry& entry = index_.objects[id];
      const auto parents = index_.parents_of(entry);
      PlannedObject& object = model_.objects[id];
      object.spec = SpecOf(entry);
      object.scheme_id = entry.scheme;
      object.parents.assign(parents.begin(), parents.end());
    }
    for (uint32_t id = 0; id < index_.objects.size(); ++id) CountLoad(id);
    has_place_.resize(index_.objects.size());
  }

  // The depth of calls is that of ancestors.
  uint64_t CountLoad(uint32_t id) {
    PlannedObject& object = model_.objects[id];
    if (object.stored_load != 0) return object.stored_load;
    const format::ObjectEntry& entry = index_.objects[id];
    uint64_t bytes = 0;
    for (uint32_t c = 0; c < entry.chunk_count; ++c) bytes += archive_.chunk(id, c).stored_size;
    for (const uint32_t parent : object.parents) bytes += CountLoad(parent);
    return object.stored_load = bytes;
  }

  Result<SourceFileEntry> List(uint32_t f, PartPlace place) {
    const format::FileEntry& entry = index_.files[f];
    SourceFileEntry file;
    file.path = entry.path;
    file.source = archive_.path();
    file.size = entry.size;
    file.container = entry.container;
    file.flags = entry.flags;
    file.is_stored = true;
    AddParts(entry, place, &file);
    if (entry.Has(FileFlag::kDirectory)) return file;
    file.file = std::make_shared<StoredFile>(contents_, file.parts);
    if (entry.container == kNoContainer) return file;
    QSTORE_TRY(archive_.headers().Check(f));
    AddTensors(entry, &file);
    QSTORE_TRY(AddHead(&file));
    return file;
  }

  void AddParts(const format::FileEntry& entry, PartPlace place, SourceFileEntry* file) {
    uint64_t begin = 0;
    for (uint32_t p = entry.parts.begin; p < entry.parts.end; ++p) {
      const uint32_t id = index_.parts[p];
      const uint64_t end = begin + index_.objects[id].byte_size;
      file->parts.push_back({begin, end, id, kNoTensor, {}});
      begin = end;
      place.part = p - entry.parts.begin;
      if (!has_place_[id]) model_.objects[id].place = place;
      has_place_[id] = true;
    }
  }

  // In the order of their parts, as a container lists them.
  void AddTensors(const format::FileEntry& entry, SourceFileEntry* file) const {
    for (uint32_t t = entry.tensors.begin; t < entry.tensors.end; ++t) {
      const format::TensorEntry& tensor = index_.tensors[t];
      const auto shape = index_.shape(tensor);
      file->tensors.push_back({std::string(tensor.name), tensor.dtype,
                               std::vector<uint64_t>(shape.begin(), shape.end()),
                               tensor.part - entry.parts.begin});
    }
    std::ranges::sort(file->tensors, {}, &container::Tensor::part);
    for (uint32_t t = 0; t < file->tensors.size(); ++t) {
      file->parts[file->tensors[t].part].tensor = t;
    }
  }

  // What the head says beside the tensors, where it is cut today as it was then.
  static Status AddHead(SourceFileEntry* file) {
    QSTORE_ASSIGN(container::Opened opened, container::OpenContainer(file->path, *file->file));
    const bool is_same =
        opened.container != nullptr && opened.container->id() == file->container &&
        std::ranges::equal(opened.layout.parts, file->parts, [](const auto& a, const auto& b) {
          return a.begin == b.begin && a.end == b.end;
        });
    if (!is_same) return {};
    file->numbers = std::move(opened.layout.numbers);
    for (size_t p = 0; p < file->parts.size(); ++p) {
      file->parts[p].name = std::move(opened.layout.parts[p].name);
    }
    return {};
  }

  // Their place is a file of no name, behind those of the first variant. Nobody looks for a parent
  // there, but for content that comes back.
  void AddObjectsOfNoFile() {
    SourceFileEntry rest;
    rest.source = archive_.path();
    rest.is_stored = true;
    const PartPlace place{0, static_cast<uint32_t>(model_.variants[0].files.size()), 0};
    for (uint32_t id = 0; id < has_place_.size(); ++id) {
      if (has_place_[id]) continue;
      model_.objects[id].place = place;
      model_.objects[id].place.part = static_cast<uint32_t>(rest.parts.size());
      const uint64_t end = rest.size + index_.objects[id].byte_size;
      rest.parts.push_back({rest.size, end, id, kNoTensor, {}});
      rest.size = end;
    }
    if (rest.parts.empty()) return;
    rest.file = std::make_shared<StoredFile>(contents_, rest.parts);
    model_.variants[0].files.push_back(std::move(rest));
  }

  const std::shared_ptr<StoredContents>& contents_;
  const ArchiveFile& archive_;
  const format::Index& index_;
  StoredModel model_;
  std::vector<bool> has_place_;  // By object.
};

}  // namespace

Result<StoredModel> ListStored(const std::shared_ptr<StoredContents>& contents) {
  return StoredLister(contents).Run();
}

}  // namespace qstore::store
