// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/pipeline.h"
#include "qstore.h"
#include "qstore/status.h"

namespace qstore::capi {

/// The code of `status`. Where `error` is a place, it gets an object that tells of an error, and
/// NULL on success. Where there is no memory for one, that is what the object tells of.
qstore_code Give(const Status& status, qstore_error** error) noexcept;

/// Gives what `call` returns, a Status. No exception leaves it.
template <class Call>
qstore_code Run(qstore_error** error, const Call& call) noexcept {
  return Give(base::Guarded(call), error);
}

/// Errors: kInvalidArgument, saying that `function` was given NULL for `name`.
Status Need(const void* pointer, const char* function, const char* name);

}  // namespace qstore::capi
