// SPDX-License-Identifier: Apache-2.0
#include "scheme/modelopt/modelopt.h"

#include <utility>

#include "scheme/grid/named_format.h"

namespace qstore::scheme {
namespace {

class Nvfp4 final : public NamedFormat {
 public:
  Nvfp4() : NamedFormat({"weight", "weight_scale"}) {}

 private:
  std::vector<GridTensors> Read(const Found& found) const override {
    GridTensors tensors = found.tensors;
    tensors.global = found.Other("weight_scale_2");
    if (found.codes.dtype != DType::kU8 || !tensors.global) return {};
    tensors.rules = {RoundingRule::kNvfp4Product};
    return ByShapes(found, std::move(tensors), 2);
  }
};

}  // namespace

const GridFormat& ModeloptNvfp4() {
  static const Nvfp4 kFormat;
  return kFormat;
}

}  // namespace qstore::scheme
