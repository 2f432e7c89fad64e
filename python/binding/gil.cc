// SPDX-License-Identifier: Apache-2.0
#include "gil.h"

#include <unistd.h>

namespace qstore::python {
namespace {

namespace nb = nanobind;

// Nothing of an interpreter that has ended may be touched, not even to ask whether it has.
PyGILState_STATE Ensure() noexcept {
  if (!nb::is_alive()) AwaitExit();
  return InPython([] { return PyGILState_Ensure(); });
}

}  // namespace

void AwaitExit() noexcept {
  while (true) ::pause();
}

GilRelease::GilRelease() noexcept : state_(PyEval_SaveThread()) {}

GilRelease::~GilRelease() {
  if (!nb::is_alive()) AwaitExit();
  InPython([this] { PyEval_RestoreThread(state_); });
}

GilAcquire::GilAcquire() noexcept : state_(Ensure()) {}

GilAcquire::~GilAcquire() {
  InPython([this] { PyGILState_Release(state_); });
}

}  // namespace qstore::python
