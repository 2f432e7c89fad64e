// SPDX-License-Identifier: Apache-2.0
#include "source.h"

#include <string>

#include "errors.h"

namespace qstore::python {
namespace {

// REQUIRES: the GIL.
Status ToStatus(const nb::python_error& error) {
  const nb::handle value = error.value();
  const std::string text = nb::str(value).c_str();
  if (error.matches(PyExc_MemoryError)) return LimitExceeded("out of memory");
  const nb::object code = nb::getattr(value, "code", nb::none());
  for (int c = 1; nb::isinstance<nb::str>(code) && c <= static_cast<int>(ErrorCode::kInternal);
       ++c) {
    const auto known = static_cast<ErrorCode>(c);
    if (ErrorCodeName(known) == nb::borrow<nb::str>(code).c_str()) return {known, text};
  }
  return InternalError(std::string(nb::str(error.type().attr("__name__")).c_str()) + ": " + text);
}

// What `call` raises becomes its result.
template <class Call>
Status Guarded(const Call& call) {
  const nb::gil_scoped_acquire gil;
  try {
    call();
    return {};
  } catch (const nb::python_error& error) {
    return ToStatus(error);
  }
}

}  // namespace

PythonSource::PythonSource(nb::object object)
    : object_(std::move(object)), size_(nb::cast<uint64_t>(object_.attr("size"))) {}

PythonSource::~PythonSource() {
  const nb::gil_scoped_acquire gil;
  object_.reset();
}

Status PythonSource::Read(uint64_t offset, std::span<std::byte> out) const {
  return Guarded([&] {
    const nb::object view = nb::steal(PyMemoryView_FromMemory(
        reinterpret_cast<char*>(out.data()), static_cast<Py_ssize_t>(out.size()), PyBUF_WRITE));
    if (!view.is_valid()) throw nb::python_error();
    object_.attr("read_into")(offset, view);
    // Whoever has kept it cannot reach the memory any more.
    view.attr("release")();
  });
}

Status PythonSource::CheckUnchanged() const {
  return Guarded([this] { object_.attr("check_unchanged")(); });
}

void PythonSource::Interrupt() const { object_.attr("interrupt")(); }

}  // namespace qstore::python
