// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "qstore.h"
#include "qstore/archive.h"

namespace qstore::capi {

/// Copies of names that end in NUL, which those of an Archive do not.
class Names {
 public:
  /// Room for that many names of that many bytes together.
  void Reserve(size_t count, size_t bytes);
  void Add(std::string_view name);
  const char* at(size_t i) const { return text_.c_str() + begins_[i]; }

 private:
  std::string text_;
  std::vector<size_t> begins_;
};

/// Those of a variant, made when the first of them is asked for.
/// Thread-safety: both functions may be called from many threads at once.
class VariantNames {
 public:
  const Names& files(const Archive& archive, const VariantInfo& variant);
  const Names& tensors(const Archive& archive, const VariantInfo& variant);

 private:
  template <class Make>
  const Names& Made(std::atomic<const Names*>* made, Names* names, const Make& make);

  std::mutex mutex_;
  std::atomic<const Names*> files_made_ = nullptr;
  std::atomic<const Names*> tensors_made_ = nullptr;
  Names files_;
  Names tensors_;
};

}  // namespace qstore::capi

struct qstore_archive {
  explicit qstore_archive(qstore::Archive opened);

  /// Of all variants.
  size_t file_count() const;
  size_t tensor_count() const;
  /// Errors: kInvalidArgument, where there is no such one.
  qstore::Status CheckVariant(size_t variant) const;
  qstore::Status CheckFile(size_t file) const;
  qstore::Status CheckTensor(size_t tensor) const;

  const qstore::Archive archive;
  qstore::capi::Names variant_names;
  /// By variant. What they point to changes though the archive is const.
  std::unique_ptr<qstore::capi::VariantNames[]> names;
};
