// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>

#include "base/disk_ids.h"
#include "qstore/status.h"
#include "scheme/scheme.h"

namespace qstore::scheme {

/// All schemes, by number.
std::span<const Scheme* const> Schemes();

/// Null when there is no scheme of this number here.
const Scheme* FindScheme(SchemeId id);

/// Binds a child to its parents. Errors: those of Scheme::Bind, kUnsupportedFeature when there is
/// no such scheme, and kLimit or kCorrupt when chunks cannot take parents so.
Result<std::unique_ptr<const Bound>> BindScheme(SchemeId id, const ObjectSpec& child,
                                                std::span<const ObjectSpec> parents,
                                                std::span<const std::byte> params);

}  // namespace qstore::scheme
