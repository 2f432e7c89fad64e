// SPDX-License-Identifier: Apache-2.0
#include "scheme/checks.h"

#include <string>

#include "codec/floating.h"
#include "format/limits.h"

namespace qstore::scheme {

Fit FitOfListed(size_t listed, uint64_t elem_count) {
  // The share from which on a chunk is coded alone as well.
  constexpr double kSuspicious = 0.02;
  const double limit = kSuspicious * static_cast<double>(elem_count);
  return static_cast<double>(listed) < limit ? Fit::kSure : Fit::kMaybe;
}

Result<DType> FloatTypeOf(std::byte param) {
  const auto number = static_cast<uint8_t>(param);
  if (number >= kDTypeCount || !codec::IsCodedFloat(static_cast<DType>(number))) {
    return Corrupt("its parameters name a type that is none of F16, BF16, F32");
  }
  return static_cast<DType>(number);
}

Status CheckSmall(const ObjectSpec& parent) {
  if (parent.byte_size <= format::kMaxScalesBytes) return {};
  return LimitExceeded("scales larger than 64 MiB");
}

Status CheckCounts(std::span<const ObjectSpec> parents, size_t parent_count,
                   std::span<const std::byte> params, size_t param_count) {
  if (parents.size() != parent_count) {
    return Corrupt("its scheme wants " + std::to_string(parent_count) + " parents");
  }
  if (params.size() != param_count) {
    return Corrupt("its scheme wants " + std::to_string(param_count) + " bytes of parameters");
  }
  return {};
}

}  // namespace qstore::scheme
