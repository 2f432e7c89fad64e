// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "errors.h"
#include "module.h"

namespace nb = nanobind;

namespace qstore::python {
namespace {

constexpr size_t kHugePage = size_t{2} << 20;

struct Mapping {
  void* begin = nullptr;
  size_t size = 0;

  Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (begin != nullptr) munmap(begin, size);
  }
};

template <class Framework>
nb::object Share(std::byte* begin, size_t size, const nb::capsule& owner) {
  nb::ndarray<Framework, uint8_t, nb::ndim<1>> array(begin, {size}, owner);
  return nb::cast(std::move(array), nb::rv_policy::reference);
}

// Fresh memory for a tensor, as an array of bytes. What frameworks allocate begins anywhere in a
// huge page: what lies before the first and behind the last whole one is given out in pages of 4
// KiB, and their first touch takes as long as decoding all of a tensor of some MiB.
nb::object Allocate(size_t size, bool torch) {
  auto mapping = std::make_unique<Mapping>();
  void* const begin = size <= SIZE_MAX - kHugePage
                          ? mmap(nullptr, size + kHugePage, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                          : MAP_FAILED;
  if (begin == MAP_FAILED) {
    Throw(LimitExceeded("the system has no " + std::to_string(size) + " bytes of memory"));
  }
  mapping->begin = begin;
  mapping->size = size + kHugePage;
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const size_t skipped = (kHugePage - address % kHugePage) % kHugePage;
  std::byte* const memory = static_cast<std::byte*>(begin) + skipped;
  // Advice only: systems without huge pages do without.
  madvise(memory, size, MADV_HUGEPAGE);
  const nb::capsule owner(mapping.get(), [](void* p) noexcept { delete static_cast<Mapping*>(p); });
  mapping.release();
  return torch ? Share<nb::pytorch>(memory, size, owner) : Share<nb::numpy>(memory, size, owner);
}

}  // namespace

void BindMemory(nb::module_& module) {
  module.def("allocate", &Allocate, nb::arg("size"), nb::arg("torch"));
}

}  // namespace qstore::python
