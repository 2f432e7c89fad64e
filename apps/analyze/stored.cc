// SPDX-License-Identifier: Apache-2.0
#include "analyze/stored.h"

#include <string_view>
#include <system_error>

#include "base/status_macros.h"
#include "qstore/archive.h"

namespace qstore::analyze {
namespace {

// The variant that has the tensor of this number.
std::string_view VariantOf(const Archive& archive, size_t tensor) {
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    if (tensor >= variant.first_tensor && tensor < variant.first_tensor + variant.tensor_count) {
      return variant.name;
    }
  }
  return {};
}

Result<StoredVariant> StoredSizes(const Archive& archive, size_t v) {
  const VariantInfo variant = archive.variant(v);
  QSTORE_ASSIGN(const std::vector<TensorCoding> codings, archive.CodingsOf(v));
  StoredVariant stored;
  stored.variant = variant.name;
  for (size_t t = 0; t < codings.size(); ++t) {
    const TensorCoding& coding = codings[t];
    const std::string_view name = archive.tensor(variant.first_tensor + t).name;
    if (!name.ends_with("weight")) {
      if (!coding.same_as) stored.side_bytes += coding.stored_bytes;
      continue;
    }
    if (!coding.same_as) stored.weight_bytes = coding.stored_bytes;
    stored.how = coding.same_as ? "same" : std::string(coding.scheme);
    std::optional<size_t> origin = coding.same_as;
    if (!origin && !coding.parents.empty()) origin = coding.parents[0];
    if (origin) (stored.how += " of ") += VariantOf(archive, *origin);
  }
  return stored;
}

Result<std::vector<StoredVariant>> MeasureAll(const std::filesystem::path& path,
                                              std::span<const VariantSource> variants) {
  QSTORE_ASSIGN(const Archive archive, Archive::Open(path));
  std::vector<StoredVariant> stored;
  for (const VariantSource& variant : variants) {
    QSTORE_ASSIGN(const size_t v, archive.FindVariant(variant.name));
    QSTORE_ASSIGN(StoredVariant measured, StoredSizes(archive, v));
    stored.push_back(std::move(measured));
  }
  return stored;
}

}  // namespace

Result<std::vector<StoredVariant>> StoredSizes(std::span<const VariantSource> variants,
                                               const std::filesystem::path& archive,
                                               PackOptions options) {
  options.overwrite = true;
  options.sync = false;
  QSTORE_TRY(Pack(variants, archive, options).status());
  auto stored = MeasureAll(archive, variants);
  std::error_code ignored;
  std::filesystem::remove(archive, ignored);
  return stored;
}

}  // namespace qstore::analyze
