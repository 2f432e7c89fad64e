// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "errors.h"
#include "gil.h"
#include "qstore/progress.h"
#include "qstore/status.h"
#include "source.h"

namespace qstore::python {

/// Waits, on the calling thread, for work that runs on another: calls Python's handlers of signals
/// and its callback of progress meanwhile.
class Watcher {
 public:
  /// `callback` may be None. `source` is what the work reads, null when it reads files only.
  /// REQUIRES: the GIL.
  Watcher(nb::object callback, const ByteSource* source);
  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  /// For the work: to be told of progress, which it says whether to go on, and of its end.
  ProgressCallback progress();
  void Finish();
  /// Returns when the work has finished. Throws what a handler or the callback raised, after the
  /// work was asked to stop and did. REQUIRES: the GIL, which is released meanwhile.
  void Wait(std::thread* worker);

 private:
  struct Channel;
  void Report(const std::optional<Progress>& progress) const;

  nb::object callback_;
  const ByteSource* source_;
  std::unique_ptr<Channel> channel_;
};

/// Throws RuntimeError when the interpreter is ending, in which no other thread can read `source`
/// any more. Null is a file, which any thread can. REQUIRES: the GIL.
void CheckReadable(const ByteSource* source);

/// Runs `work` on a thread of its own. Python handles signals on its main thread alone, which must
/// not be busy for longer than a user waits after Ctrl-C; it also calls the callback, so that the
/// work never waits for the GIL because of it. REQUIRES: the GIL.
template <class T>
T RunInterruptibly(const nb::object& callback, const ByteSource* source,
                   const std::function<Result<T>(const ProgressCallback&)>& work) {
  CheckReadable(source);
  Watcher watcher(callback, source);
  std::optional<Result<T>> result;
  std::exception_ptr thrown;
  std::thread worker([&] {
    try {
      result.emplace(work(watcher.progress()));
    } catch (...) {
      thrown = std::current_exception();
    }
    watcher.Finish();
  });
  watcher.Wait(&worker);
  if (thrown) std::rethrow_exception(thrown);
  return Unwrap(std::move(*result));
}

/// For work on the calling thread: what it is told of progress is when it looks for signals, which
/// may be up to a unit of work apart.
class SignalCheck {
 public:
  /// REQUIRES: called and destroyed by the thread that does the work. The GIL for the constructor.
  ProgressCallback progress();
  /// Whether a handler raised, which has stopped the work.
  bool raised() const { return raised_.has_value(); }
  /// Throws what a handler raised. REQUIRES: the GIL.
  void Rethrow();

 private:
  bool GoOn();

  const bool is_ending_ = IsEnding();  // Nobody is told of signals any more.
  const std::thread::id caller_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::optional<nb::python_error> raised_;
};

/// As RunInterruptibly, for work that reads files and has nobody to tell of progress: on the
/// calling thread, as another one takes a millisecond of a load to start and wait for.
template <class T>
T RunHere(const std::function<Result<T>(const ProgressCallback&)>& work) {
  SignalCheck check;
  std::optional<Result<T>> result;
  {
    const GilRelease release;
    result.emplace(work(check.progress()));
  }
  check.Rethrow();
  return Unwrap(std::move(*result));
}

/// The way of the two that fits a read: another thread where Python is to hear of progress, or is
/// what is read.
template <class T>
T RunReading(const nb::object& callback, const ByteSource* source,
             const std::function<Result<T>(const ProgressCallback&)>& work) {
  const bool here = callback.is_none() && source == nullptr;
  return here ? RunHere<T>(work) : RunInterruptibly<T>(callback, source, work);
}

}  // namespace qstore::python
