// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <utility>

#include "qstore/status.h"

namespace qstore::python {

namespace nb = nanobind;

/// Throws the exception of qstore.errors that mirrors the code. REQUIRES: the GIL; not ok.
[[noreturn]] void Throw(const Status& status);

/// The value, or what Throw throws. REQUIRES: the GIL.
template <class T>
T Unwrap(Result<T> result) {
  if (!result.ok()) Throw(result.status());
  return std::move(result).value();
}

}  // namespace qstore::python
