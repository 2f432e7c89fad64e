// SPDX-License-Identifier: Apache-2.0
#include "scheme/torchao/torchao.h"

#include "scheme/grid/named_format.h"

namespace qstore::scheme {

const GridFormat& Torchao() {
  static const BytesFormat kFormat({"_weight_qdata", "_weight_scale"}, {RoundingRule::kInt8Wide},
                                   {RoundingRule::kE4m3Wide});
  return kFormat;
}

}  // namespace qstore::scheme
