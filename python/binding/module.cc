// SPDX-License-Identifier: Apache-2.0
#include "module.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

#include "qstore/archive.h"
#include "qstore/dtype.h"

namespace qstore::python {
namespace {

// By name: weights and bytes of a block.
nb::dict BlockTypes() {
  nb::dict types;
  for (unsigned number = 0; number < kDTypeCount; ++number) {
    const auto dtype = static_cast<DType>(number);
    if (DTypeBlock(dtype) == 1) continue;
    const std::string_view name = DTypeName(dtype);
    types[nb::str(name.data(), name.size())] =
        nb::make_tuple(DTypeBlock(dtype), DTypeBits(dtype) / 8);
  }
  return types;
}

}  // namespace
}  // namespace qstore::python

NB_MODULE(_qstore, module) {
  module.doc() = "The C++ library; its interface is that of the package, not of this module.";
  // What daemon threads still hold when the process ends is no leak; and a library never prints.
  nanobind::set_leak_warnings(false);
  module.attr("__version__") = QSTORE_VERSION;
  module.def("instruction_set", &qstore::InstructionSet);
  module.def("block_types", &qstore::python::BlockTypes);
  qstore::python::BindArchive(module);
  qstore::python::BindBackgroundReads(module);
  qstore::python::BindDequantize(module);
  qstore::python::BindDlpack(module);
  qstore::python::BindMemory(module);
  qstore::python::BindOperations(module);
  qstore::python::BindQuantize(module);
}
