// SPDX-License-Identifier: Apache-2.0
#include "source.h"

#include <string>

#include "gil.h"

namespace qstore::python {
namespace {

// Puts the text into `out`, or nothing when it is none, and lets it go.
void Take(PyObject* text, std::string* out) {
  PyObject* const bytes = text != nullptr && PyUnicode_Check(text) != 0
                              ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace")
                              : nullptr;
  if (bytes != nullptr) *out = PyBytes_AsString(bytes);
  Py_XDECREF(bytes);
  Py_XDECREF(text);
}

PyObject* TakeError() {
#if PY_VERSION_HEX >= 0x030C0000
  return PyErr_GetRaisedException();
#else
  PyObject* type = nullptr;
  PyObject* value = nullptr;
  PyObject* trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  return value;
#endif
}

// What was raised, which it clears. REQUIRES: the GIL.
Status RaisedStatus() {
  std::string text;
  std::string code;
  std::string kind;
  bool is_memory = false;
  InPython([&] {
    PyObject* const error = TakeError();
    is_memory = PyErr_GivenExceptionMatches(error, PyExc_MemoryError) != 0;
    Take(PyObject_Str(error), &text);
    Take(PyObject_GetAttrString(error, "code"), &code);
    Take(PyObject_GetAttrString(reinterpret_cast<PyObject*>(Py_TYPE(error)), "__name__"), &kind);
    Py_XDECREF(error);
    PyErr_Clear();
  });
  if (is_memory) return LimitExceeded("out of memory");
  for (int c = 1; c <= static_cast<int>(ErrorCode::kInternal); ++c) {
    const auto known = static_cast<ErrorCode>(c);
    if (ErrorCodeName(known) == code) return {known, text};
  }
  return InternalError(kind + ": " + text);
}

// `call` returns whether nothing was raised. REQUIRES: as InPython.
template <class Call>
Status Guarded(const Call& call) {
  const GilAcquire gil;
  if (InPython(call)) return {};
  return RaisedStatus();
}

// For the result of a method that returns nothing.
bool IsDone(PyObject* result) {
  Py_XDECREF(result);
  return result != nullptr;
}

bool ReadInto(PyObject* source, uint64_t offset, std::span<std::byte> out) {
  PyObject* const view = PyMemoryView_FromMemory(reinterpret_cast<char*>(out.data()),
                                                 static_cast<Py_ssize_t>(out.size()), PyBUF_WRITE);
  // Whoever has kept it cannot reach the memory any more once it is released.
  const bool done =
      view != nullptr &&
      IsDone(PyObject_CallMethod(source, "read_into", "KO", static_cast<unsigned long long>(offset),
                                 view)) &&  // NOLINT
      IsDone(PyObject_CallMethod(view, "release", nullptr));
  Py_XDECREF(view);
  return done;
}

uint64_t SizeOf(const nb::object& source) {
  const auto get = [&] { return PyObject_GetAttrString(source.ptr(), "size"); };
  const nb::object size = nb::steal(InPython(get));
  if (!size.is_valid()) throw nb::python_error();
  return nb::cast<uint64_t>(size);
}

}  // namespace

PythonSource::PythonSource(nb::object object) : object_(std::move(object)), size_(SizeOf(object_)) {
  InPython([this] { Take(PyObject_GetAttrString(object_.ptr(), "identity"), &identity_); });
  PyErr_Clear();
}

PythonSource::~PythonSource() {
  PyObject* const object = object_.release().ptr();
  // Then the process lets it go, in whatever thread this is.
  if (IsEnding()) return;
  const GilAcquire gil;
  InPython([object] { Py_DECREF(object); });
}

Status PythonSource::Read(uint64_t offset, std::span<std::byte> out) const {
  return Guarded([&] { return ReadInto(object_.ptr(), offset, out); });
}

Status PythonSource::CheckUnchanged() const {
  return Guarded(
      [this] { return IsDone(PyObject_CallMethod(object_.ptr(), "check_unchanged", nullptr)); });
}

void PythonSource::Interrupt() const {
  const auto interrupt = [this] {
    return IsDone(PyObject_CallMethod(object_.ptr(), "interrupt", nullptr));
  };
  if (!InPython(interrupt)) throw nb::python_error();
}

}  // namespace qstore::python
