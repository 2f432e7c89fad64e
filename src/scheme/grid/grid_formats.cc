// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/bitsandbytes.h"
#include "scheme/compressed_tensors/compressed_tensors.h"
#include "scheme/fine_grained_fp8/fine_grained_fp8.h"
#include "scheme/grid/grid_format.h"

namespace qstore::scheme {

std::span<const GridFormat* const> GridFormats() {
  static const GridFormat* const kFormats[] = {&CompressedTensors(), &CompressedTensorsPacked(),
                                               &FineGrainedFp8(), &BitsandbytesInt8(),
                                               &BitsandbytesFourBits()};
  return kFormats;
}

}  // namespace qstore::scheme
