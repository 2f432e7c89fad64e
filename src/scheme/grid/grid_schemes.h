// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "scheme/scheme.h"

// The schemes of formats that round weights to a grid, whatever the format: its rule, groups and
// layout are parameters. docs/format-grids.md.

namespace qstore::scheme {

/// Codes given the weights that they were made of, and the scales unless these follow too.
const Scheme& GridCodes();

/// Scales or zero points given the weights that they were made of.
const Scheme& GridScales();

/// Weights given the codes that were made of them, and their scales.
const Scheme& GridWeights();

/// Weights that are the numbers which codes stand for, times their scales.
const Scheme& GridValues();

/// Codes given the weights and the scales, of a tool that chose some of them otherwise.
const Scheme& GridNear();

}  // namespace qstore::scheme
