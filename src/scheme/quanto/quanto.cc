// SPDX-License-Identifier: Apache-2.0
#include "scheme/quanto/quanto.h"

#include "scheme/grid/named_format.h"

namespace qstore::scheme {

const GridFormat& Quanto() {
  static const BytesFormat kFormat({"weight._data", "weight._scale"}, {RoundingRule::kInt8Whole},
                                   {RoundingRule::kE4m3});
  return kFormat;
}

}  // namespace qstore::scheme
