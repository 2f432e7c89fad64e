// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/model_files.h"
#include "container/registry.h"
#include "format/names.h"
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

// The model that a file is by itself, or one file of; none where that is a folder.
std::optional<container::ModelPart> ModelOf(std::string_view path) {
  const container::Container* claimant = container::FindClaimant(path);
  return claimant == nullptr ? std::nullopt : claimant->PartOfModel(path);
}

class Lister {
 public:
  explicit Lister(const std::vector<io::ModelFile>& files) {
    // A folder without files is not to be taken for a file.
    for (const io::ModelFile& file : files) {
      paths_.push_back(file.path + (file.is_directory ? "/" : ""));
    }
    std::sort(paths_.begin(), paths_.end(), format::PathLess);
  }

  // The variants of a folder, whose path is `folder` and which has that name.
  std::vector<Found> Run(const fs::path& folder, const std::string& name) {
    List(paths_, folder, 0, name);
    return std::move(found_);
  }

 private:
  using Paths = std::span<const std::string>;

  // Of the folder `folder`, in whose files' paths it takes `skip` bytes.
  void List(Paths paths, const fs::path& folder, size_t skip, const std::string& name) {
    const size_t at = found_.size();
    found_.push_back({{NameOf(name), folder, {}}, NameOf(name)});
    std::vector<std::string> rest;
    std::map<std::pair<std::string, uint32_t>, size_t> models;
    for (size_t i = 0; i < paths.size();) {
      const std::string_view path = std::string_view(paths[i]).substr(skip);
      if (const size_t slash = path.find('/'); slash != std::string_view::npos) {
        const std::string inner(path.substr(0, slash));
        const Paths below = Below(paths.subspan(i), skip, inner);
        if (!ListSubfolder(below, folder / inner, skip + slash + 1, inner)) rest.push_back(inner);
        i += below.size();
        continue;
      }
      ++i;
      const auto part = ModelOf(path);
      if (!part) {
        rest.emplace_back(path);
        continue;
      }
      const auto [model, is_new] = models.try_emplace({part->model, part->count}, found_.size());
      if (is_new) found_.push_back({{NameOf(part->model), folder, {}}, NameOf(path)});
      found_[model->second].variant.files.emplace_back(path);
    }
    found_[at].variant.files = std::move(rest);
    if (found_[at].variant.files.empty()) found_.erase(found_.begin() + static_cast<ptrdiff_t>(at));
  }

  // False when it has no files of models.
  bool ListSubfolder(Paths paths, const fs::path& folder, size_t skip, const std::string& name) {
    std::set<std::pair<std::string, uint32_t>> models;
    bool has_model = false;
    for (const std::string& path : paths) {
      if (container::FindClaimant(path) == nullptr) continue;
      has_model = true;
      if (const auto part = ModelOf(path)) models.emplace(part->model, part->count);
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
  std::vector<Found> found = Lister(files).Run(folder, named.filename().string());
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
