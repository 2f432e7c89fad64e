// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "errors.h"
#include "module.h"
#include "qstore/archive.h"
#include "qstore/pack.h"
#include "qstore/unpack.h"
#include "qstore/verify.h"

namespace qstore::python {
namespace {

// How long a signal may go unseen, and how often at most Python hears of progress.
constexpr std::chrono::milliseconds kPoll{50};

using Sources = std::vector<std::pair<std::string, nb::bytes>>;

// What the calling thread and the one that works share.
class Channel {
 public:
  ProgressCallback callback() {
    return [this](const Progress& progress) {
      const std::lock_guard lock(mutex_);
      progress_ = progress;
      changed_.notify_one();
      return !cancelled_;
    };
  }
  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
  }
  void Finish() {
    const std::lock_guard lock(mutex_);
    finished_ = true;
    changed_.notify_one();
  }
  // Waits for the end, the first progress, or a while.
  // Returns: whether the work has ended, and how far it came since the last call.
  std::pair<bool, std::optional<Progress>> Wait() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPoll, [this] { return finished_ || (!begun_ && progress_); });
    begun_ = begun_ || progress_.has_value();
    return {finished_, std::exchange(progress_, std::nullopt)};
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Progress> progress_;
  bool begun_ = false;
  bool cancelled_ = false;
  bool finished_ = false;
};

// Calls Python's handlers of signals and its callback. Returns false when one of them raised.
bool Report(const std::optional<Progress>& progress, const nb::object& callback) {
  if (PyErr_CheckSignals() != 0) return false;
  if (!progress || callback.is_none()) return true;
  const nb::object result = nb::steal(PyObject_CallFunction(
      callback.ptr(), "KK", static_cast<unsigned long long>(progress->done_bytes),
      static_cast<unsigned long long>(progress->total_bytes)));
  return result.is_valid();
}

// Runs `work` on a thread of its own. Python handles signals on its main thread alone, which must
// not be busy for longer than a user waits after Ctrl-C; it also calls the callback, so that the
// work never waits for the GIL.
template <class T>
T RunInterruptibly(const nb::object& callback,
                   const std::function<Result<T>(const ProgressCallback&)>& work) {
  Channel channel;
  std::optional<Result<T>> result;
  std::optional<nb::python_error> raised;
  std::thread worker([&] {
    try {
      result.emplace(work(channel.callback()));
    } catch (const std::exception& error) {
      result.emplace(InternalError(error.what()));
    }
    channel.Finish();
  });
  for (bool finished = false; !finished;) {
    std::optional<Progress> progress;
    {
      nb::gil_scoped_release release;
      std::tie(finished, progress) = channel.Wait();
    }
    if (!raised && !Report(progress, callback)) {
      raised.emplace();
      channel.Cancel();
    }
  }
  {
    nb::gil_scoped_release release;
    worker.join();
  }
  if (raised) throw std::move(*raised);
  return Unwrap(std::move(*result));
}

std::vector<VariantSource> ToSources(const Sources& sources) {
  std::vector<VariantSource> result;
  for (const auto& [name, path] : sources) {
    result.push_back({name, std::string(path.c_str(), path.size())});
  }
  return result;
}

std::string ToPath(const nb::bytes& path) { return {path.c_str(), path.size()}; }

nb::tuple PackFiles(const Sources& sources, const nb::bytes& output, int level, unsigned threads,
                    uint64_t memory, bool overwrite, bool sync, const nb::object& progress) {
  const std::vector<VariantSource> variants = ToSources(sources);
  const std::string path = ToPath(output);
  PackOptions options;
  options.level = static_cast<Level>(level);
  options.threads = threads;
  options.memory_limit = memory;
  options.overwrite = overwrite;
  options.sync = sync;
  const auto report = RunInterruptibly<PackReport>(progress, [&](const ProgressCallback& callback) {
    options.progress = callback;
    return Pack(variants, path, options);
  });
  return nb::make_tuple(report.source_bytes, report.stored_bytes);
}

nb::tuple UnpackFiles(const Archive& archive, const std::string& variant,
                      const nb::bytes& directory, const std::string& tensors, unsigned threads,
                      uint64_t memory, bool overwrite, bool sync, const nb::object& progress) {
  const std::string path = ToPath(directory);
  UnpackOptions options;
  options.threads = threads;
  options.memory_limit = memory;
  options.overwrite = overwrite;
  options.sync = sync;
  options.tensors = tensors;
  const auto report =
      RunInterruptibly<UnpackReport>(progress, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return Unpack(archive, variant, path, options);
      });
  return nb::make_tuple(report.files, report.bytes);
}

nb::tuple VerifyFiles(const Archive& archive, const Sources& originals, unsigned threads,
                      const nb::object& progress) {
  const std::vector<VariantSource> variants = ToSources(originals);
  VerifyOptions options;
  options.threads = threads;
  const auto report =
      RunInterruptibly<VerifyReport>(progress, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return Verify(archive, variants, options);
      });
  return nb::make_tuple(report.files, report.bytes, report.compared_bytes);
}

}  // namespace

void BindOperations(nb::module_& module) {
  module.def("pack", &PackFiles, nb::arg("sources"), nb::arg("output"), nb::arg("level"),
             nb::arg("threads"), nb::arg("memory"), nb::arg("overwrite"), nb::arg("sync"),
             nb::arg("progress").none());
  module.def("unpack", &UnpackFiles, nb::arg("archive"), nb::arg("variant"), nb::arg("directory"),
             nb::arg("tensors"), nb::arg("threads"), nb::arg("memory"), nb::arg("overwrite"),
             nb::arg("sync"), nb::arg("progress").none());
  module.def("verify", &VerifyFiles, nb::arg("archive"), nb::arg("originals"), nb::arg("threads"),
             nb::arg("progress").none());
}

}  // namespace qstore::python
