// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "errors.h"
#include "module.h"
#include "qstore/page_memory.h"

namespace nb = nanobind;

namespace qstore::python {
namespace {

// Fresh memory for a tensor, as an array of bytes. What frameworks allocate begins anywhere in a
// huge page: what lies before the first and behind the last whole one is given out in pages of 4
// KiB, and their first touch takes as long as decoding all of a tensor of some MiB.
nb::object AllocateView(size_t size) {
  auto memory = std::make_unique<PageMemory>(Unwrap(PageMemory::Allocate(size)));
  std::byte* const begin = memory->bytes().data();
  const nb::capsule owner(memory.get(),
                          [](void* p) noexcept { delete static_cast<PageMemory*>(p); });
  memory.release();
  return View({begin, size}, owner);
}

}  // namespace

nb::object View(std::span<std::byte> bytes, nb::handle owner) {
  nb::ndarray<nb::memview, uint8_t, nb::ndim<1>> array(bytes.data(), {bytes.size()}, owner);
  return nb::cast(std::move(array), nb::rv_policy::reference);
}

void BindMemory(nb::module_& module) { module.def("allocate", &AllocateView, nb::arg("size")); }

}  // namespace qstore::python
