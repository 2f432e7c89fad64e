// SPDX-License-Identifier: Apache-2.0
#include "gil.h"

#include <unistd.h>

// The first has been there since Python 3.13, and the second before; the stable interface of 3.12
// declares neither.
extern "C" {
__attribute__((weak)) PyAPI_FUNC(int) Py_IsFinalizing();
__attribute__((weak)) PyAPI_FUNC(int) _Py_IsFinalizing();  // NOLINT
}

namespace qstore::python {
namespace {

namespace nb = nanobind;

// To ask for a new state in an interpreter whose end has come far enough is a crash.
PyGILState_STATE Ensure() noexcept {
  if (IsEnding()) AwaitExit();
  return InPython([] { return PyGILState_Ensure(); });
}

}  // namespace

bool IsEnding() noexcept {
  if (!nb::is_alive()) return true;
  if (Py_IsFinalizing != nullptr) return Py_IsFinalizing() != 0;
  return _Py_IsFinalizing != nullptr && _Py_IsFinalizing() != 0;
}

void AwaitExit() noexcept {
  while (true) ::pause();
}

GilRelease::GilRelease() noexcept : is_last_(IsEnding()), state_(PyEval_SaveThread()) {}

GilRelease::~GilRelease() {
  if (!is_last_ && IsEnding()) AwaitExit();
  InPython([this] { PyEval_RestoreThread(state_); });
}

GilAcquire::GilAcquire() noexcept : state_(Ensure()) {}

GilAcquire::~GilAcquire() {
  InPython([this] { PyGILState_Release(state_); });
}

}  // namespace qstore::python
