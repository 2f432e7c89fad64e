// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

namespace qstore::python {

void BindArchive(nanobind::module_& module);
void BindDlpack(nanobind::module_& module);
void BindMemory(nanobind::module_& module);
/// REQUIRES: BindArchive before.
void BindOperations(nanobind::module_& module);
void BindQuantize(nanobind::module_& module);

}  // namespace qstore::python
