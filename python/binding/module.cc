// SPDX-License-Identifier: Apache-2.0
#include "module.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

#include "qstore/archive.h"

NB_MODULE(_qstore, module) {
  module.doc() = "The C++ library; its interface is that of the package, not of this module.";
  // What daemon threads still hold when the process ends is no leak; and a library never prints.
  nanobind::set_leak_warnings(false);
  module.attr("__version__") = QSTORE_VERSION;
  module.def("instruction_set", &qstore::InstructionSet);
  qstore::python::BindArchive(module);
  qstore::python::BindBackgroundReads(module);
  qstore::python::BindDlpack(module);
  qstore::python::BindMemory(module);
  qstore::python::BindOperations(module);
  qstore::python::BindQuantize(module);
}
