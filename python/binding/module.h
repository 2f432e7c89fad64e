// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace qstore::python {

namespace nb = nanobind;

/// Memory that Python owns, as one row of bytes.
using Buffer = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

/// A memoryview of bytes that `owner` keeps. Frameworks make tensors of it in Python, where an
/// exception, such as a handler of signals may raise, stays what it is. REQUIRES: the GIL.
nb::object View(std::span<std::byte> bytes, nb::handle owner);

/// Throws IndexError. REQUIRES: the GIL.
inline void CheckIndex(size_t index, size_t count) {
  if (index >= count) throw nb::index_error("no such number");
}

void BindArchive(nb::module_& module);
/// REQUIRES: BindArchive before.
void BindBackgroundReads(nb::module_& module);
void BindDequantize(nb::module_& module);
void BindDlpack(nb::module_& module);
/// REQUIRES: BindArchive before.
void BindFileCache(nb::module_& module);
void BindMemory(nb::module_& module);
/// REQUIRES: BindArchive before.
void BindOperations(nb::module_& module);
void BindQuantize(nb::module_& module);

}  // namespace qstore::python
