// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qstore/status.h"

/// Returns from the enclosing function when `expr` (a Status) is an error.
#define QSTORE_TRY(expr)                             \
  do {                                               \
    ::qstore::Status qstore_status_ = (expr);        \
    if (!qstore_status_.ok()) return qstore_status_; \
  } while (0)

#define QSTORE_CONCAT_INNER_(a, b) a##b
#define QSTORE_CONCAT_(a, b) QSTORE_CONCAT_INNER_(a, b)

/// `QSTORE_ASSIGN(auto x, F());` assigns the value of a Result or returns its error.
#define QSTORE_ASSIGN(lhs, expr) \
  QSTORE_ASSIGN_IMPL_(QSTORE_CONCAT_(qstore_result_, __LINE__), lhs, expr)
#define QSTORE_ASSIGN_IMPL_(tmp, lhs, expr) \
  auto tmp = (expr);                        \
  if (!tmp.ok()) return tmp.status();       \
  lhs = std::move(tmp).value()
