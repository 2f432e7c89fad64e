// SPDX-License-Identifier: Apache-2.0
#include "capi/handle.h"

namespace qstore::capi {
namespace {

// `name_of(i)` for i in [first, first + count).
template <class NameOf>
Names Copy(size_t first, size_t count, const NameOf& name_of) {
  size_t bytes = 0;
  for (size_t i = first; i < first + count; ++i) bytes += name_of(i).size() + 1;
  Names names;
  names.Reserve(count, bytes);
  for (size_t i = first; i < first + count; ++i) names.Add(name_of(i));
  return names;
}

Status Check(size_t number, size_t count, const char* what) {
  if (number < count) return {};
  return InvalidArgument("there is no " + std::string(what) + " number " + std::to_string(number) +
                         " of " + std::to_string(count));
}

}  // namespace

void Names::Reserve(size_t count, size_t bytes) {
  text_.reserve(bytes);
  begins_.reserve(count);
}

void Names::Add(std::string_view name) {
  begins_.push_back(text_.size());
  text_.append(name).push_back('\0');
}

template <class Make>
const Names& VariantNames::Made(std::atomic<const Names*>* made, Names* names, const Make& make) {
  if (const Names* there = made->load(std::memory_order_acquire)) return *there;
  const std::lock_guard lock(mutex_);
  if (made->load(std::memory_order_relaxed) == nullptr) {
    *names = make();
    made->store(names, std::memory_order_release);
  }
  return *names;
}

const Names& VariantNames::files(const Archive& archive, const VariantInfo& variant) {
  return Made(&files_made_, &files_, [&] {
    return Copy(variant.first_file, variant.file_count,
                [&](size_t file) { return archive.file(file).path; });
  });
}

const Names& VariantNames::tensors(const Archive& archive, const VariantInfo& variant) {
  return Made(&tensors_made_, &tensors_, [&] {
    return Copy(variant.first_tensor, variant.tensor_count,
                [&](size_t tensor) { return archive.tensor(tensor).name; });
  });
}

}  // namespace qstore::capi

qstore_archive::qstore_archive(qstore::Archive opened)
    : archive(std::move(opened)),
      variant_names(
          qstore::capi::Copy(0, archive.variant_count(),
                             [this](size_t variant) { return archive.variant(variant).name; })),
      names(std::make_unique<qstore::capi::VariantNames[]>(archive.variant_count())) {}

size_t qstore_archive::file_count() const {
  const size_t variants = archive.variant_count();
  if (variants == 0) return 0;
  const qstore::VariantInfo last = archive.variant(variants - 1);
  return last.first_file + last.file_count;
}

size_t qstore_archive::tensor_count() const {
  const size_t variants = archive.variant_count();
  if (variants == 0) return 0;
  const qstore::VariantInfo last = archive.variant(variants - 1);
  return last.first_tensor + last.tensor_count;
}

qstore::Status qstore_archive::CheckVariant(size_t variant) const {
  return qstore::capi::Check(variant, archive.variant_count(), "variant");
}

qstore::Status qstore_archive::CheckFile(size_t file) const {
  return qstore::capi::Check(file, file_count(), "file");
}

qstore::Status qstore_archive::CheckTensor(size_t tensor) const {
  return qstore::capi::Check(tensor, tensor_count(), "tensor");
}
