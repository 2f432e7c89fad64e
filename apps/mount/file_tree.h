// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "qstore/archive.h"

namespace qstore::mount {

/// The files of an archive as a tree of directories: one for each variant below the root. Nodes are
/// numbered from kRoot on, the same in every process. Never changes.
class FileTree {
 public:
  static constexpr uint64_t kRoot = 1;
  /// Longer names are left out: no directory of Linux has them.
  static constexpr size_t kMostNameBytes = 255;

  struct Node {
    std::string_view name;
    uint64_t parent = kRoot;
    std::optional<size_t> file;  ///< Its number in the archive; none of a directory.
  };

  /// `archive` outlives the tree.
  explicit FileTree(const Archive& archive);

  uint64_t node_count() const { return nodes_.size(); }
  bool Contains(uint64_t number) const { return number >= kRoot && number - kRoot < nodes_.size(); }
  /// REQUIRES: Contains(number).
  const Node& node(uint64_t number) const { return nodes_[number - kRoot]; }
  /// Of a directory: the numbers of what is in it, by name. Empty of a file.
  std::span<const uint64_t> children(uint64_t number) const {
    const size_t begin = first_child_[number - kRoot];
    return std::span(children_).subspan(begin, first_child_[number - kRoot + 1] - begin);
  }
  /// What has this name in a directory.
  std::optional<uint64_t> Find(uint64_t directory, std::string_view name) const;
  /// Files whose path has a name that is too long.
  size_t left_out() const { return left_out_; }

 private:
  uint64_t Add(std::string_view name, uint64_t parent, std::optional<size_t> file);
  void AddVariant(const Archive& archive, const VariantInfo& variant);
  void ListChildren();

  std::vector<Node> nodes_;
  std::vector<size_t> first_child_;  // By node, in children_, and where they end.
  std::vector<uint64_t> children_;
  size_t left_out_ = 0;
};

}  // namespace qstore::mount
