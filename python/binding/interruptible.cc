// SPDX-License-Identifier: Apache-2.0
#include "interruptible.h"

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <tuple>

namespace qstore::python {
namespace {

// How long a signal may go unseen, and how often at most Python hears of progress.
constexpr std::chrono::milliseconds kPoll{50};

}  // namespace

// What the calling thread and the one that works share.
struct Watcher::Channel {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Progress> progress;
  bool begun = false;
  bool cancelled = false;
  bool finished = false;

  // Waits for the end, the first progress, or a while.
  // Returns: whether the work has ended, and how far it came since the last call.
  std::pair<bool, std::optional<Progress>> Wait() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, kPoll, [this] { return finished || (!begun && progress); });
    begun = begun || progress.has_value();
    return {finished, std::exchange(progress, std::nullopt)};
  }
};

void CheckReadable(const ByteSource* source) {
  // Not one of the package's errors: their module may be gone.
  if (source != nullptr && IsEnding()) {
    nb::raise("Python is ending: nothing but files can be read any more");
  }
}

Watcher::Watcher(nb::object callback, const ByteSource* source)
    : callback_(std::move(callback)), source_(source), channel_(std::make_unique<Channel>()) {}

Watcher::~Watcher() = default;

ProgressCallback Watcher::progress() {
  return [channel = channel_.get()](const Progress& progress) {
    const std::lock_guard lock(channel->mutex);
    channel->progress = progress;
    // Later ones are looked at after a while: waking for each takes a processor from the work.
    if (!channel->begun) channel->changed.notify_one();
    return !channel->cancelled;
  };
}

void Watcher::Finish() {
  const std::lock_guard lock(channel_->mutex);
  channel_->finished = true;
  channel_->changed.notify_one();
}

void Watcher::Wait(std::thread* worker) {
  std::optional<nb::python_error> raised;
  for (bool finished = false; !finished;) {
    std::optional<Progress> progress;
    {
      const GilRelease release;
      std::tie(finished, progress) = channel_->Wait();
    }
    try {
      if (raised) {
        // Again and again, since a read may have begun after the last time.
        if (source_ != nullptr) source_->Interrupt();
        continue;
      }
      Report(progress);
    } catch (nb::python_error& error) {
      if (!raised) raised.emplace(std::move(error));
      const std::lock_guard lock(channel_->mutex);
      channel_->cancelled = true;
    }
  }
  {
    const GilRelease release;
    worker->join();
  }
  if (raised) throw std::move(*raised);
}

// Calls Python's handlers of signals and its callback; throws what they raise.
void Watcher::Report(const std::optional<Progress>& progress) const {
  if (InPython([] { return PyErr_CheckSignals(); }) != 0) throw nb::python_error();
  if (!progress || callback_.is_none()) return;
  const bool done = InPython([&] {
    PyObject* const result =
        PyObject_CallFunction(callback_.ptr(), "KK", progress->done_bytes, progress->total_bytes);
    Py_XDECREF(result);
    return result != nullptr;
  });
  if (!done) throw nb::python_error();
}

// Threads that the work has begun tell of progress as well, one at a time.
ProgressCallback SignalCheck::progress() {
  return [this](const Progress&) { return std::this_thread::get_id() != caller_ || GoOn(); };
}

bool SignalCheck::GoOn() {
  const auto now = std::chrono::steady_clock::now();
  if (is_ending_ || raised_ || now - last_ < kPoll) return !raised_;
  last_ = now;
  const GilAcquire acquire;
  if (InPython([] { return PyErr_CheckSignals(); }) == 0) return true;
  raised_.emplace();
  return false;
}

void SignalCheck::Rethrow() {
  if (raised_) throw std::move(*raised_);
}

}  // namespace qstore::python
