// SPDX-License-Identifier: Apache-2.0
#include "store/source_model.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/status_macros.h"
#include "container/model_files.h"
#include "container/registry.h"
#include "format/limits.h"
#include "format/names.h"
#include "io/file.h"

namespace qstore::store {
namespace {

Status DivideIntoParts(SourceFileEntry* entry) {
  QSTORE_ASSIGN(container::Opened opened, container::OpenContainer(entry->path, *entry->file));
  if (opened.container == nullptr) {
    if (entry->size > 0) entry->parts.push_back({0, entry->size, kNoObject, kNoTensor, {}});
    return {};
  }
  entry->container = opened.container->id();
  for (container::Part& part : opened.layout.parts) {
    entry->parts.push_back({part.begin, part.end, kNoObject, kNoTensor, std::move(part.name)});
  }
  entry->tensors = std::move(opened.layout.tensors);
  entry->numbers = std::move(opened.layout.numbers);
  for (uint32_t t = 0; t < entry->tensors.size(); ++t) {
    entry->parts[entry->tensors[t].part].tensor = t;
  }
  return {};
}

Result<SourceFileEntry> Examine(io::ModelFile listed) {
  SourceFileEntry entry;
  QSTORE_TRY(format::CheckPath(listed.path).WithContext(listed.source.string()));
  entry.path = std::move(listed.path);
  entry.source = std::move(listed.source);
  if (listed.is_directory) {
    entry.flags = static_cast<uint8_t>(FileFlag::kDirectory);
    return entry;
  }
  if (listed.is_executable) entry.flags = static_cast<uint8_t>(FileFlag::kExecutable);
  QSTORE_ASSIGN(entry.file, io::SourceFile::OpenOnDemand(entry.source));
  entry.size = entry.file->size();
  if (entry.size > format::kMaxSize) return LimitExceeded(entry.source.string() + ": too large");
  QSTORE_TRY(DivideIntoParts(&entry));
  return entry;
}

Result<SourceVariant> ListVariant(const VariantSource& given) {
  SourceVariant variant;
  variant.name = given.name;
  variant.root = given.path;
  QSTORE_ASSIGN(auto listed, container::ListModelFiles(given.path, given.files));
  for (io::ModelFile& file : listed) {
    QSTORE_ASSIGN(SourceFileEntry entry, Examine(std::move(file)));
    variant.files.push_back(std::move(entry));
  }
  std::sort(variant.files.begin(), variant.files.end(),
            [](const auto& a, const auto& b) { return format::PathLess(a.path, b.path); });
  return variant;
}

Status CheckDistinct(std::span<const VariantSource> variants) {
  if (variants.empty()) return InvalidArgument("no variant given");
  if (variants.size() > format::kMaxVariants) return LimitExceeded("more than 1024 variants");
  for (size_t i = 0; i < variants.size(); ++i) {
    QSTORE_TRY(format::CheckVariantName(variants[i].name));
    for (size_t j = 0; j < i; ++j) {
      if (variants[i].name == variants[j].name) {
        return InvalidArgument("two variants are named '" + variants[i].name + "': " +
                               variants[j].path.string() + " and " + variants[i].path.string());
      }
      std::error_code ignored;
      if (variants[i].files == variants[j].files &&
          std::filesystem::equivalent(variants[i].path, variants[j].path, ignored)) {
        return InvalidArgument("variants '" + variants[j].name + "' and '" + variants[i].name +
                               "' are the same path: " + variants[i].path.string());
      }
    }
  }
  return {};
}

std::string_view Folder(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

}  // namespace

Result<std::vector<SourceVariant>> ListSources(std::span<const VariantSource> variants) {
  QSTORE_TRY(CheckDistinct(variants));
  std::vector<SourceVariant> listed;
  for (const VariantSource& given : variants) {
    QSTORE_ASSIGN(SourceVariant variant, ListVariant(given));
    listed.push_back(std::move(variant));
  }
  return listed;
}

void SourceTable::Reserve(size_t count) {
  places_.reserve(count);
  by_name_.Reset(count);
  for (size_t i = places_.size(); i-- > 0;) Note(i);
}

void SourceTable::Add(TensorPlace place) {
  if (places_.size() == places_.capacity()) Reserve(2 * places_.size() + 1);
  places_.push_back(place);
  Note(places_.size() - 1);
}

void SourceTable::Note(size_t index) {
  const auto name_of = [this](size_t i) { return NameOf(i); };
  uint32_t& slot = by_name_.Slot(NameOf(index), name_of);
  slot = std::min(slot, static_cast<uint32_t>(index));
}

std::string_view SourceTable::NameOf(size_t index) const {
  const TensorPlace place = places_[index];
  return variant_->files[place.file].tensors[place.tensor].name;
}

scheme::TensorDesc SourceTable::tensor(size_t index) const {
  const TensorPlace place = places_[index];
  const container::Tensor& tensor = variant_->files[place.file].tensors[place.tensor];
  return {tensor.name, tensor.dtype, tensor.shape};
}

std::optional<size_t> SourceTable::Find(std::string_view name) const {
  const uint32_t row = by_name_.Find(name, [this](size_t i) { return NameOf(i); });
  if (row == base::NameSlots::kNone) return std::nullopt;
  return row;
}

std::optional<uint64_t> SourceTable::Number(std::string_view key_end) const {
  std::optional<uint64_t> found;
  for (size_t i = 0; i < places_.size(); ++i) {
    if (i > 0 && places_[i].file == places_[i - 1].file) continue;
    for (const auto& [key, number] : variant_->files[places_[i].file].numbers) {
      if (!key.ends_with(key_end)) continue;
      if (found && *found != number) return std::nullopt;
      found = number;
    }
  }
  return found;
}

SourceTables::SourceTables(const SourceVariant& variant) : all_(&variant) {
  std::map<std::string_view, size_t> counts;  // Of tensors, by folder.
  size_t count = 0;
  for (const SourceFileEntry& file : variant.files) {
    if (file.tensors.empty()) continue;
    counts[Folder(file.path)] += file.tensors.size();
    count += file.tensors.size();
  }
  all_.Reserve(count);
  // What has one folder needs no second table of the same tensors.
  for (const auto& [folder, of_folder] : counts) {
    if (counts.size() == 1) break;
    folders_.try_emplace(std::string(folder), &variant).first->second.Reserve(of_folder);
  }
  for (uint32_t f = 0; f < variant.files.size(); ++f) {
    const SourceFileEntry& file = variant.files[f];
    const auto folder = folders_.find(Folder(file.path));
    for (uint32_t t = 0; t < file.tensors.size(); ++t) {
      all_.Add({f, t});
      if (folder != folders_.end()) folder->second.Add({f, t});
    }
  }
}

const SourceTable& SourceTables::Near(std::string_view path) const {
  const auto found = folders_.find(Folder(path));
  return found == folders_.end() ? all_ : found->second;
}

}  // namespace qstore::store
