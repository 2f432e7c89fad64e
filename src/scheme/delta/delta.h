// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

namespace qstore::scheme {

/// Floats given the same tensor of another model, of the same type, such as a fine-tune's given its
/// base's. The parent may have more rows or fewer. docs/format-coding.md, "Schemes".
const Scheme& Delta();

}  // namespace qstore::scheme
