// SPDX-License-Identifier: Apache-2.0
#include "mount/file_tree.h"

#include <algorithm>

namespace qstore::mount {
namespace {

// The names of a path, one by one.
std::vector<std::string_view> NamesOf(std::string_view path) {
  std::vector<std::string_view> names;
  while (true) {
    const size_t slash = path.find('/');
    names.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return names;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace

FileTree::FileTree(const Archive& archive) {
  Add("", kRoot, std::nullopt);
  for (size_t v = 0; v < archive.variant_count(); ++v) AddVariant(archive, archive.variant(v));
  ListChildren();
}

uint64_t FileTree::Add(std::string_view name, uint64_t parent, std::optional<size_t> file) {
  nodes_.push_back({name, parent, file});
  return nodes_.size() - 1 + kRoot;
}

// What is in one directory lies together, since paths of a variant are in order: a path continues
// the directories of the one before, or leaves them for good.
void FileTree::AddVariant(const Archive& archive, const VariantInfo& variant) {
  std::vector<uint64_t> open = {Add(variant.name, kRoot, std::nullopt)};
  for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
    const FileInfo info = archive.file(f);
    const std::vector<std::string_view> names = NamesOf(info.path);
    if (std::ranges::any_of(names, [](auto name) { return name.size() > kMostNameBytes; })) {
      ++left_out_;
      continue;
    }
    size_t depth = 0;  // Of the directories that it shares with the last one.
    while (depth + 1 < names.size() && depth + 1 < open.size() &&
           node(open[depth + 1]).name == names[depth]) {
      ++depth;
    }
    open.resize(depth + 1);
    for (; depth + 1 < names.size(); ++depth) {
      open.push_back(Add(names[depth], open.back(), std::nullopt));
    }
    if (info.is_directory) {
      open.push_back(Add(names.back(), open.back(), std::nullopt));
    } else {
      Add(names.back(), open.back(), f);
    }
  }
}

// In one array, as there may be many directories: first how many each has, then where they end.
void FileTree::ListChildren() {
  first_child_.assign(nodes_.size() + 1, 0);
  for (size_t n = 1; n < nodes_.size(); ++n) ++first_child_[nodes_[n].parent - kRoot + 1];
  for (size_t n = 0; n < nodes_.size(); ++n) first_child_[n + 1] += first_child_[n];
  children_.resize(nodes_.size() - 1);
  std::vector<size_t> next = first_child_;
  for (size_t n = 1; n < nodes_.size(); ++n) {
    children_[next[nodes_[n].parent - kRoot]++] = n + kRoot;
  }
  for (size_t n = 0; n < nodes_.size(); ++n) {
    const auto begin = children_.begin();
    std::sort(begin + static_cast<ptrdiff_t>(first_child_[n]),
              begin + static_cast<ptrdiff_t>(first_child_[n + 1]),
              [this](uint64_t a, uint64_t b) { return node(a).name < node(b).name; });
  }
}

std::optional<uint64_t> FileTree::Find(uint64_t directory, std::string_view name) const {
  const auto in = children(directory);
  const auto found = std::lower_bound(
      in.begin(), in.end(), name,
      [this](uint64_t child, std::string_view value) { return node(child).name < value; });
  if (found == in.end() || node(*found).name != name) return std::nullopt;
  return *found;
}

}  // namespace qstore::mount
