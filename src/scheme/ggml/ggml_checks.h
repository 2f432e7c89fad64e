// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>

#include "qstore/status.h"
#include "scheme/ggml/ggml_params.h"
#include "scheme/object_spec.h"

namespace qstore::scheme::ggml {

/// Whether child and parents fit the parameters and one another. docs/format-ggml.md, "Scheme".
/// REQUIRES: as many parents as the parameters ask for.
/// Errors: kCorrupt and kLimit naming the rule.
Status CheckGgml(const ObjectSpec& child, std::span<const ObjectSpec> parents,
                 const GgmlParams& params);

/// Parts of the rows that have importance of their own.
/// REQUIRES: parameters with importance, and as many parents as they ask for.
uint64_t ImportanceParts(const GgmlParams& params, std::span<const ObjectSpec> parents);

}  // namespace qstore::scheme::ggml
