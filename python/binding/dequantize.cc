// SPDX-License-Identifier: Apache-2.0
#include "qstore/dequantize.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "arguments.h"
#include "errors.h"
#include "interruptible.h"
#include "module.h"

namespace qstore::python {
namespace {

using Blocks = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Weights = nb::ndarray<float, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

DType TypeOf(const nb::str& name) {
  const auto dtype = DTypeFromName(ToString(name));
  if (!dtype) Throw(InvalidArgument("there is no type " + ToString(name)));
  return *dtype;
}

bool CanDequantizeType(const nb::str& name) {
  const auto dtype = DTypeFromName(ToString(name));
  return dtype && CanDequantize(*dtype);
}

void DequantizeBlocks(const nb::str& name, const Blocks& blocks, const Weights& out,
                      unsigned threads) {
  const DType dtype = TypeOf(name);
  const auto content = std::as_bytes(std::span(blocks.data(), blocks.size()));
  const std::span weights(out.data(), out.size());
  RunReading<bool>(nb::none(), nullptr, [&](const ProgressCallback&) -> Result<bool> {
    if (const Status status = Dequantize(dtype, content, weights, threads); !status.ok()) {
      return status;
    }
    return true;
  });
}

}  // namespace

void BindDequantize(nb::module_& module) {
  module.def("can_dequantize", &CanDequantizeType, nb::arg("dtype"));
  module.def("dequantize", &DequantizeBlocks, nb::arg("dtype"), nb::arg("blocks").noconvert(),
             nb::arg("out").noconvert(), nb::arg("threads") = 0);
}

}  // namespace qstore::python
