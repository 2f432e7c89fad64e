// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cxxabi.h>
#include <nanobind/nanobind.h>

namespace qstore::python {

/// Whether the interpreter has ended or is ending, in which only one thread may go on.
bool IsEnding() noexcept;

/// Never returns. For a thread that wants the GIL of an interpreter that has ended or is ending.
[[noreturn]] void AwaitExit() noexcept;

/// Calls what may wait for the GIL or run Python's code. Before Python 3.14 an ending interpreter
/// ends every other thread that asks for the GIL, by unwinding its stack: that would end the
/// process in frames of C++, or release their objects without the GIL. Such a thread waits here for
/// the end of the process, as it does in later versions.
/// REQUIRES: `call` holds no Python object that a destructor would release.
template <class Call>
auto InPython(const Call& call) {
  try {
    return call();
  } catch (const abi::__forced_unwind&) {
    AwaitExit();
  }
}

/// Lets the GIL go, for the work of a thread that has it.
/// REQUIRES: constructed and destroyed by that thread.
class GilRelease {
 public:
  GilRelease() noexcept;
  ~GilRelease();
  GilRelease(const GilRelease&) = delete;
  GilRelease& operator=(const GilRelease&) = delete;

 private:
  const bool is_last_;  // The thread that ends the interpreter.
  PyThreadState* const state_;
};

/// Takes the GIL, on any thread but the one that ends the interpreter.
/// REQUIRES: constructed and destroyed by the same thread.
class GilAcquire {
 public:
  GilAcquire() noexcept;
  ~GilAcquire();
  GilAcquire(const GilAcquire&) = delete;
  GilAcquire& operator=(const GilAcquire&) = delete;

 private:
  const PyGILState_STATE state_;
};

}  // namespace qstore::python
