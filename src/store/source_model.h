// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/disk_ids.h"
#include "base/name_slots.h"
#include "container/container.h"
#include "qstore/pack.h"
#include "qstore/status.h"
#include "scheme/tensor_table.h"
#include "store/object_graph.h"
#include "store/read_windows.h"

namespace qstore::store {

inline constexpr uint32_t kNoTensor = UINT32_MAX;

/// A stretch of an input file that becomes an object, or is one: a header, a tensor, a whole file.
struct SourcePart {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint32_t object = kNoObject;
  uint32_t tensor = kNoTensor;  ///< Whose content it is, in SourceFileEntry::tensors.
  std::string name;             ///< As container::Part has it; of a whole file empty.
  uint64_t size() const { return end - begin; }
};

struct SourceFileEntry {
  std::string path;
  std::filesystem::path source;
  uint64_t size = 0;
  ContainerId container = kNoContainer;
  uint8_t flags = 0;                                      ///< Of FileFlag.
  std::vector<container::Tensor> tensors;                 ///< In the order of the container.
  std::vector<std::pair<std::string, uint64_t>> numbers;  ///< As container::Layout has them.
  std::vector<SourcePart> parts;                          ///< None for an empty file.
  std::shared_ptr<const ByteSource> file;  ///< Opened on demand. Null for a directory.
  bool is_stored = false;                  ///< It is one of an archive, decoded as it is read.
};

struct SourceVariant {
  std::string name;
  std::filesystem::path root;
  std::vector<SourceFileEntry> files;  ///< By format::PathLess.
};

/// Lists and reads the headers of all variants, in the order given.
/// Errors: as Pack's for names and inputs.
Result<std::vector<SourceVariant>> ListSources(std::span<const VariantSource> variants);

/// A tensor's place in a variant.
struct TensorPlace {
  uint32_t file = 0;
  uint32_t tensor = 0;
};

/// The tensors of the files of a variant, or of those of one folder.
class SourceTable final : public scheme::TensorTable {
 public:
  SourceTable() = default;
  explicit SourceTable(const SourceVariant* variant) : variant_(variant) {}
  /// Makes room for so many tensors in all.
  void Reserve(size_t count);
  /// Of several tensors of one name the first is found.
  void Add(TensorPlace place);

  size_t size() const override { return places_.size(); }
  scheme::TensorDesc tensor(size_t index) const override;
  std::optional<size_t> Find(std::string_view name) const override;
  std::optional<uint64_t> Number(std::string_view key_end) const override;
  TensorPlace place(size_t index) const { return places_[index]; }

 private:
  std::string_view NameOf(size_t index) const;
  void Note(size_t index);

  const SourceVariant* variant_ = nullptr;
  std::vector<TensorPlace> places_;
  base::NameSlots by_name_;  // Positions in places_.
};

/// All tensors of a variant, and by folder, since models of several components (each in its folder)
/// use one name for different tensors.
class SourceTables {
 public:
  explicit SourceTables(const SourceVariant& variant);
  const SourceTable& all() const { return all_; }
  /// The tensors of that folder, or all when it has none.
  const SourceTable& Near(std::string_view path) const;

 private:
  SourceTable all_;
  std::map<std::string, SourceTable, std::less<>> folders_;  // Empty where there is but one.
};

/// A part of a source file as a source of its own. Short reads go by `windows`, where there are
/// any, but for files of archives: to decode what lies around would cost more.
class PartSource final : public ByteSource {
 public:
  PartSource(const SourceFileEntry& file, const SourcePart& part, ReadWindows* windows = nullptr)
      : file_(file.file.get()),
        windows_(file.is_stored ? nullptr : windows),
        begin_(part.begin),
        size_(part.size()) {}
  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) const override {
    return windows_ == nullptr ? file_->Read(begin_ + offset, out)
                               : windows_->Read(*file_, begin_ + offset, out);
  }

 private:
  const ByteSource* file_;
  ReadWindows* windows_;
  uint64_t begin_;
  uint64_t size_;
};

}  // namespace qstore::store
