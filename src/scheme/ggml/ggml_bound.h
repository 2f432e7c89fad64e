// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "scheme/ggml/ggml_params.h"
#include "scheme/scheme.h"

namespace qstore::scheme::ggml {

/// Blocks, or floats, made of weights. Parents: the weights; with importance sums of squares and
/// counts or calls. Errors: kCorrupt naming the rule.
Result<std::unique_ptr<const Bound>> BindGgml(const ObjectSpec& child,
                                              std::span<const ObjectSpec> parents,
                                              const GgmlParams& params);

}  // namespace qstore::scheme::ggml
