// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "base/status_macros.h"
#include "capi/error.h"
#include "capi/handle.h"

namespace qstore::capi {
namespace {

// What each of the functions needs: an archive, a name, and a place for the number.
Status NeedAll(const char* function, const qstore_archive* archive, const char* name,
               const size_t* place) {
  QSTORE_TRY(Need(archive, function, "archive"));
  QSTORE_TRY(Need(name, function, "the name"));
  return Need(place, function, "the place for the number");
}

Result<size_t> FindFile(const qstore_archive& handle, size_t number, std::string_view path) {
  QSTORE_TRY(handle.CheckVariant(number));
  const VariantInfo variant = handle.archive.variant(number);
  for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
    if (handle.archive.file(f).path == path) return f;
  }
  return NotFound(handle.archive.path().string() + ": variant '" + std::string(variant.name) +
                  "' has no file '" + std::string(path) + "'");
}

}  // namespace
}  // namespace qstore::capi

qstore_code qstore_find_variant(const qstore_archive* archive, const char* name, size_t* variant,
                                qstore_error** error) {
  using namespace qstore;
  return capi::Run(error, [&]() -> Status {
    QSTORE_TRY(capi::NeedAll("qstore_find_variant", archive, name, variant));
    QSTORE_ASSIGN(*variant, archive->archive.FindVariant(name));
    return {};
  });
}

qstore_code qstore_find_file(const qstore_archive* archive, size_t variant, const char* path,
                             size_t* file, qstore_error** error) {
  using namespace qstore;
  return capi::Run(error, [&]() -> Status {
    QSTORE_TRY(capi::NeedAll("qstore_find_file", archive, path, file));
    QSTORE_ASSIGN(*file, capi::FindFile(*archive, variant, path));
    return {};
  });
}

qstore_code qstore_find_tensor(const qstore_archive* archive, size_t variant, const char* name,
                               size_t* tensor, qstore_error** error) {
  using namespace qstore;
  return capi::Run(error, [&]() -> Status {
    QSTORE_TRY(capi::NeedAll("qstore_find_tensor", archive, name, tensor));
    QSTORE_TRY(archive->CheckVariant(variant));
    QSTORE_ASSIGN(*tensor, archive->archive.FindTensor(variant, name));
    return {};
  });
}
