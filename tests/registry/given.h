// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "registry/chunk_parents.h"
#include "scheme/registry.h"

namespace qstore::testing {

/// The number of a scheme in params.
inline std::byte NumberOf(DType dtype) { return static_cast<std::byte>(dtype); }

inline std::shared_ptr<const scheme::Bound> BindOrFail(const scheme::Scheme& scheme,
                                                       const scheme::ObjectSpec& child,
                                                       std::span<const scheme::ObjectSpec> parents,
                                                       std::span<const std::byte> params = {}) {
  auto bound = scheme::BindScheme(scheme.id(), child, parents, params);
  EXPECT_TRUE(bound.ok()) << bound.status().ToString();
  return bound.ok() ? std::move(bound).value() : nullptr;
}

}  // namespace qstore::testing
