// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace qstore {

/// The trade of size against speed when packing. Every level is read by the same decoder.
enum class Level : uint8_t {
  kFast = 1,      ///< Decodes near memory speed.
  kBalanced = 2,  ///< The default.
  kMax = 3,       ///< The smallest. Matrices that are modelled row by row decode at some 10 million
                  ///< weights a second and core.
};

}  // namespace qstore
