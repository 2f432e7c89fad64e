// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "qstore/estimate.h"

namespace qstore::cli {

/// Prints a table on standard output: a row for each variant and one for the archive, for each
/// arrangement.
void PrintEstimate(const PackEstimate& estimate);
/// The same as a JSON document.
void PrintEstimateAsJson(const PackEstimate& estimate, double seconds);

}  // namespace qstore::cli
