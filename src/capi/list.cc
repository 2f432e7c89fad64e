// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/status_macros.h"
#include "capi/error.h"
#include "capi/handle.h"
#include "capi/structures.h"

namespace qstore::capi {
namespace {

// The last variant whose `first_of` is not behind `number`: variants without files or tensors begin
// where the next one begins.
template <class FirstOf>
size_t VariantWith(const Archive& archive, size_t number, const FirstOf& first_of) {
  size_t begin = 0;
  size_t end = archive.variant_count();
  while (end - begin > 1) {
    const size_t middle = begin + (end - begin) / 2;
    (first_of(archive.variant(middle)) <= number ? begin : end) = middle;
  }
  return begin;
}

Status FillVariant(const qstore_archive* archive, size_t number, qstore_variant_info* out) {
  QSTORE_TRY(Need(archive, "qstore_get_variant", "archive"));
  QSTORE_TRY(Need(out, "qstore_get_variant", "info"));
  QSTORE_TRY(archive->CheckVariant(number));
  const VariantInfo variant = archive->archive.variant(number);
  qstore_variant_info info = {};
  info.name = archive->variant_names.at(number);
  info.source_bytes = variant.source_bytes;
  info.first_file = variant.first_file;
  info.file_count = variant.file_count;
  info.first_tensor = variant.first_tensor;
  info.tensor_count = variant.tensor_count;
  return Fill(info, out, "qstore_variant_info");
}

Status FillFile(const qstore_archive* archive, size_t number, qstore_file_info* out) {
  QSTORE_TRY(Need(archive, "qstore_get_file", "archive"));
  QSTORE_TRY(Need(out, "qstore_get_file", "info"));
  QSTORE_TRY(archive->CheckFile(number));
  const size_t owner = VariantWith(archive->archive, number,
                                   [](const VariantInfo& variant) { return variant.first_file; });
  const VariantInfo variant = archive->archive.variant(owner);
  const FileInfo file = archive->archive.file(number);
  qstore_file_info info = {};
  info.path =
      archive->names[owner].files(archive->archive, variant).at(number - variant.first_file);
  info.byte_size = file.size;
  // A literal of the library, or nothing.
  info.container = file.container.empty() ? "" : file.container.data();
  std::copy(file.digest.begin(), file.digest.end(), info.digest);
  info.is_directory = file.is_directory ? 1 : 0;
  info.is_executable = file.is_executable ? 1 : 0;
  return Fill(info, out, "qstore_file_info");
}

Status FillTensor(const qstore_archive* archive, size_t number, qstore_tensor_info* out) {
  QSTORE_TRY(Need(archive, "qstore_get_tensor", "archive"));
  QSTORE_TRY(Need(out, "qstore_get_tensor", "info"));
  QSTORE_TRY(archive->CheckTensor(number));
  const size_t owner = VariantWith(archive->archive, number,
                                   [](const VariantInfo& variant) { return variant.first_tensor; });
  const VariantInfo variant = archive->archive.variant(owner);
  const TensorInfo tensor = archive->archive.tensor(number);
  qstore_tensor_info info = {};
  info.name =
      archive->names[owner].tensors(archive->archive, variant).at(number - variant.first_tensor);
  info.name_length = tensor.name.size();
  info.dtype = static_cast<uint32_t>(tensor.dtype);
  info.rank = static_cast<uint32_t>(tensor.shape.size());
  info.shape = tensor.shape.data();
  info.byte_size = tensor.byte_size;
  info.file = tensor.file;
  return Fill(info, out, "qstore_tensor_info");
}

}  // namespace
}  // namespace qstore::capi

size_t qstore_variant_count(const qstore_archive* archive) {
  return archive == nullptr ? 0 : archive->archive.variant_count();
}

qstore_code qstore_get_variant(const qstore_archive* archive, size_t variant,
                               qstore_variant_info* info, qstore_error** error) {
  return qstore::capi::Run(error,
                           [&] { return qstore::capi::FillVariant(archive, variant, info); });
}

qstore_code qstore_get_file(const qstore_archive* archive, size_t file, qstore_file_info* info,
                            qstore_error** error) {
  return qstore::capi::Run(error, [&] { return qstore::capi::FillFile(archive, file, info); });
}

qstore_code qstore_get_tensor(const qstore_archive* archive, size_t tensor,
                              qstore_tensor_info* info, qstore_error** error) {
  return qstore::capi::Run(error, [&] { return qstore::capi::FillTensor(archive, tensor, info); });
}
