// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <vector>

#include "module.h"

namespace nb = nanobind;

namespace qstore::python {
namespace {

using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Tensor = nb::ndarray<nb::array_api>;

// Memory as a tensor of a type that its owner may not know. `code` is DLPack's number of the kind.
Tensor Export(const Bytes& memory, const nb::tuple& sizes, uint8_t code, uint8_t bits) {
  std::vector<size_t> shape;
  for (const nb::handle dimension : sizes) shape.push_back(nb::cast<size_t>(dimension));
  size_t size = bits / 8;
  for (const size_t dimension : shape) size *= dimension;
  if (size != memory.size()) throw nb::value_error("the memory is not of that size");
  return Tensor(memory.data(), shape.size(), shape.data(), nb::find(memory), nullptr,
                nb::dlpack::dtype{code, bits, 1});
}

}  // namespace

void BindDlpack(nb::module_& module) {
  module.def("dlpack", &Export, nb::arg("memory").noconvert(), nb::arg("shape"), nb::arg("code"),
             nb::arg("bits"), nb::rv_policy::reference);
}

}  // namespace qstore::python
