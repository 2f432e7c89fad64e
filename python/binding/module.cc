// SPDX-License-Identifier: Apache-2.0
#include "module.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

#include "qstore/archive.h"
#include "qstore/dtype.h"

namespace qstore::python {
namespace {

// By name: the weights in an element, and its bits. Of blocks these are more than one.
nb::dict Types() {
  nb::dict types;
  for (unsigned number = 0; number < kDTypeCount; ++number) {
    const auto dtype = static_cast<DType>(number);
    const std::string_view name = DTypeName(dtype);
    types[nb::str(name.data(), name.size())] = nb::make_tuple(DTypeBlock(dtype), DTypeBits(dtype));
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
  module.def("types", &qstore::python::Types);
  qstore::python::BindArchive(module);
  qstore::python::BindBackgroundReads(module);
  qstore::python::BindDequantize(module);
  qstore::python::BindDlpack(module);
  qstore::python::BindFileCache(module);
  qstore::python::BindMemory(module);
  qstore::python::BindOperations(module);
  qstore::python::BindQuantize(module);
}
