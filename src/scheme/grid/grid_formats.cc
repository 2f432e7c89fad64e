// SPDX-License-Identifier: Apache-2.0
#include "scheme/bitsandbytes/bitsandbytes.h"
#include "scheme/compressed_tensors/compressed_tensors.h"
#include "scheme/fine_grained_fp8/fine_grained_fp8.h"
#include "scheme/grid/grid_format.h"
#include "scheme/mlx/mlx.h"
#include "scheme/modelopt/modelopt.h"
#include "scheme/quanto/quanto.h"
#include "scheme/torchao/torchao.h"

namespace qstore::scheme {

std::span<const GridFormat* const> GridFormats() {
  static const GridFormat* const kFormats[] = {&CompressedTensors(),
                                               &CompressedTensorsPacked(),
                                               &FineGrainedFp8(),
                                               &BitsandbytesInt8(),
                                               &BitsandbytesFourBits(),
                                               &ModeloptNvfp4(),
                                               &Torchao(),
                                               &Quanto(),
                                               &Mlx()};
  return kFormats;
}

Result<MadeMatrix> GridFormat::Make(std::string_view made_name, const TensorDesc&) const {
  return InvalidArgument(std::string(made_name) + " is not made here");
}

std::vector<GridReading> ReadingsFor(const GridFormat& format, std::string_view module,
                                     const TensorTable& table, const TensorDesc& weights) {
  std::vector<GridReading> readings;
  for (const GridTensors& tensors : format.Find(module, table)) {
    if (ElementCount(weights.shape) != tensors.elem_count) continue;
    for (const RoundingRule rule : tensors.rules) {
      const Rounding& rounding = RoundingOf(rule);
      if (!Applies(rounding, weights.dtype)) continue;
      const DType scales = ScaleType(rounding, weights.dtype);
      if (tensors.scales && table.tensor(*tensors.scales).dtype != scales) continue;
      readings.push_back({tensors, rule});
    }
  }
  return readings;
}

}  // namespace qstore::scheme
