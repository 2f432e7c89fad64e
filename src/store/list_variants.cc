// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/model_files.h"
#include "container/registry.h"
#include "format/names.h"
#include "io/file.h"
#include "qstore/pack.h"

namespace qstore {
namespace store {
namespace {

namespace fs = std::filesystem;

// What has one name in a folder: a model of its own, a subfolder, or the rest of the folder.
struct Found {
  VariantSource variant;
  std::string full_name;  // Where another one has the name.
};

// `text` as a variant may be named: '_' for each character that it may not have.
std::string NameOf(std::string_view text) {
  std::string name;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) == 0x80)
      continue;  // The character's first byte counts.
    name += c;
    if (!format::CheckVariantName("x" + std::string(1, c)).ok()) name.back() = '_';
  }
  if (!format::CheckVariantName(name).ok() && !name.empty()) name.front() = '_';
  return name;
}

// Whether it looks like a file of a container by its path, but not by its content.
Result<bool> IsOfNone(const io::ModelFile& file) {
  const container::Container* claimant = container::FindClaimant(file.path);
  if (file.is_directory || claimant == nullptr || !claimant->IsToldByContent()) return false;
  QSTORE_ASSIGN(const auto content, io::SourceFile::Open(file.source));
  QSTORE_ASSIGN(const container::Opened opened, container::OpenContainer(file.path, *content));
  return opened.container == nullptr;
}

class Lister {
 public:
  /// Has the files of a folder.
  Status Add(const std::vector<io::ModelFile>& files) {
    for (const io::ModelFile& file : files) {
      // A folder without files is not to be taken for a file.
      paths_.push_back(file.path + (file.is_directory ? "/" : ""));
      QSTORE_ASSIGN(const bool is_of_none, IsOfNone(file));
      if (is_of_none) of_none_.insert(file.path);
    }
    std::sort(paths_.begin(), paths_.end(), format::PathLess);
    return {};
  }

  // The variants of a folder, whose path is `folder` and which has that name.
  std::vector<Found> Run(const fs::path& folder, const std::string& name) {
    List(paths_, folder, 0, name);
    return std::move(found_);
  }

 private:
  using Paths = std::span<const std::string>;
  // A container, the path without number and extension, and how many files there are.
  using Model = std::tuple<const container::Container*, std::string, uint32_t>;

  const container::Container* ClaimantOf(const std::string& path) const {
    return of_none_.contains(path) ? nullptr : container::FindClaimant(path);
  }
  // The model that a file is by itself, or one file of; none where that is a folder. Its path is
  // without the first `skip` bytes.
  std::optional<Model> ModelOf(const std::string& path, size_t skip) const {
    const container::Container* claimant = ClaimantOf(path);
    if (claimant == nullptr) return std::nullopt;
    auto part = claimant->PartOfModel(std::string_view(path).substr(skip));
    if (!part) return std::nullopt;
    return Model{claimant, std::move(part->model), part->count};
  }

  // Of the folder `folder`, in whose files' paths it takes `skip` bytes.
  void List(Paths paths, const fs::path& folder, size_t skip, const std::string& name) {
    const size_t at = found_.size();
    found_.push_back({{NameOf(name), folder, {}}, NameOf(name)});
    std::vector<std::string> rest;
    std::map<Model, size_t> models;
    for (size_t i = 0; i < paths.size();) {
      const std::string_view path = std::string_view(paths[i]).substr(skip);
      if (const size_t slash = path.find('/'); slash != std::string_view::npos) {
        const std::string inner(path.substr(0, slash));
        const Paths below = Below(paths.subspan(i), skip, inner);
        if (!ListSubfolder(below, folder / inner, skip + slash + 1, inner)) rest.push_back(inner);
        i += below.size();
        continue;
      }
      const auto model = ModelOf(paths[i++], skip);
      if (!model) {
        rest.emplace_back(path);
        continue;
      }
      const auto [known, is_new] = models.try_emplace(*model, found_.size());
      if (is_new) found_.push_back({{NameOf(std::get<1>(*model)), folder, {}}, NameOf(path)});
      found_[known->second].variant.files.emplace_back(path);
    }
    found_[at].variant.files = std::move(rest);
    if (found_[at].variant.files.empty()) found_.erase(found_.begin() + static_cast<ptrdiff_t>(at));
  }

  // False when it has no files of models.
  bool ListSubfolder(Paths paths, const fs::path& folder, size_t skip, const std::string& name) {
    std::set<Model> models;
    bool has_model = false;
    for (const std::string& path : paths) {
      if (ClaimantOf(path) == nullptr) continue;
      has_model = true;
      if (auto model = ModelOf(path, 0)) models.insert(*std::move(model));
    }
    if (models.size() > 1) {
      List(paths, folder, skip, name);
    } else if (has_model) {
      found_.push_back({{NameOf(name), folder, {}}, NameOf(name)});
    }
    return has_model;
  }

  // The first paths, which lie below `inner`.
  static Paths Below(Paths paths, size_t skip, const std::string& inner) {
    size_t count = 0;
    while (count < paths.size() &&
           format::LiesBelow(std::string_view(paths[count]).substr(skip), inner)) {
      ++count;
    }
    return paths.first(count);
  }

  std::vector<std::string> paths_;
  std::set<std::string> of_none_;  // Paths that containers claim, but not what is there.
  std::vector<Found> found_;
};

std::string Described(const VariantSource& variant) {
  const bool is_one = variant.files.size() == 1;
  return (is_one ? variant.path / variant.files[0] : variant.path).string();
}

// Full names for those that have one of another; then all names differ.
Status MakeNamesDiffer(std::vector<Found>* found) {
  std::map<std::string, size_t> counts;
  for (const Found& each : *found) ++counts[each.variant.name];
  for (Found& each : *found) {
    if (counts[each.variant.name] > 1) each.variant.name = each.full_name;
  }
  std::map<std::string, const VariantSource*> named;
  for (const Found& each : *found) {
    const auto [other, is_new] = named.try_emplace(each.variant.name, &each.variant);
    if (is_new) continue;
    return InvalidArgument(Described(*other->second) + " and " + Described(each.variant) +
                           ": both would be the variant '" + each.variant.name +
                           "'; give them other names");
  }
  return {};
}

Result<std::vector<VariantSource>> ListFolder(const fs::path& folder) {
  std::error_code ignored;
  if (fs::exists(folder, ignored) && !fs::is_directory(folder, ignored)) {
    return InvalidArgument(folder.string() + ": is not a directory");
  }
  QSTORE_ASSIGN(const auto files, container::ListModelFiles(folder));
  // "a/" and "a/." are the folder a.
  fs::path named = fs::absolute(folder).lexically_normal();
  if (!named.has_filename()) named = named.parent_path();
  Lister lister;
  QSTORE_TRY(lister.Add(files));
  std::vector<Found> found = lister.Run(folder, named.filename().string());
  QSTORE_TRY(MakeNamesDiffer(&found));
  std::vector<VariantSource> variants;
  for (Found& each : found) variants.push_back(std::move(each.variant));
  return variants;
}

}  // namespace
}  // namespace store

Result<std::vector<VariantSource>> ListVariants(const std::filesystem::path& folder) {
  return base::Guarded([&] { return store::ListFolder(folder); });
}

}  // namespace qstore
