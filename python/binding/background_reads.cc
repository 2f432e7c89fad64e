// SPDX-License-Identifier: Apache-2.0
#include "background_reads.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <thread>
#include <utility>

namespace qstore::python {
namespace {

// How long a signal may go unseen.
constexpr std::chrono::milliseconds kPoll{50};

}  // namespace

/// The threads and what they share. Knows nothing of Python.
class BackgroundReads::Worker {
 public:
  Worker(const Archive* archive, unsigned threads) : archive_(*archive), threads_(threads) {
    for (std::thread& thread : pool_) thread = std::thread([this] { Run(); });
  }

  ~Worker() {
    Cancel();
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : pool_) thread.join();
  }

  void Add(uint64_t number, size_t tensor, std::span<std::byte> out) {
    {
      const std::lock_guard lock(mutex_);
      waiting_.push_back({number, {tensor, out}});
    }
    changed_.notify_all();
  }

  // Returns: whether it was filled, or nothing when it is not known yet after a while.
  std::optional<bool> WaitFor(uint64_t number) {
    std::unique_lock lock(mutex_);
    const bool ended = changed_.wait_for(lock, kPoll, [&] {
      const bool waits = !waiting_.empty() && waiting_.front().number <= number &&
                         number <= waiting_.back().number;
      return !waits && running_.count(number) == 0;
    });
    if (!ended) return std::nullopt;
    return filled_.erase(number) != 0;
  }

  void Cancel() {
    std::unique_lock lock(mutex_);
    waiting_.clear();
    cancelled_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return running_.empty(); });
    cancelled_ = false;
    filled_.clear();
  }

 private:
  struct Job {
    uint64_t number;
    ReadRequest request;
  };

  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [this] { return ended_ || !waiting_.empty(); });
      if (ended_) return;
      const Job job = waiting_.front();
      waiting_.pop_front();
      running_.insert(job.number);
      lock.unlock();
      const bool filled = Fill(job.request);
      lock.lock();
      running_.erase(job.number);
      if (filled) filled_.insert(job.number);
      changed_.notify_all();
    }
  }

  bool Fill(const ReadRequest& request) const {
    try {
      const auto go_on = [this](const Progress&) { return !cancelled_; };
      return archive_.Read({&request, 1}, threads_, go_on).ok();
    } catch (const std::exception&) {
      return false;
    }
  }

  const Archive& archive_;
  const unsigned threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> waiting_;  // Their numbers follow one another.
  std::set<uint64_t> running_;
  std::set<uint64_t> filled_;
  std::atomic<bool> cancelled_ = false;
  bool ended_ = false;
  std::array<std::thread, 2> pool_;  // The last member: they use the others.
};

BackgroundReads::BackgroundReads(const OpenArchive* archive, unsigned threads)
    : archive_(*archive),
      process_(::getpid()),
      worker_(std::make_unique<Worker>(archive, threads)) {}

BackgroundReads::~BackgroundReads() {
  if (process_ != ::getpid()) {
    // A child has no such thread; to end it, or its locks, is undefined.
    static_cast<void>(worker_.release());
    return;
  }
  const nb::gil_scoped_release release;
  worker_.reset();
}

uint64_t BackgroundReads::Begin(size_t variant, size_t tensor, Buffer out) {
  CheckIndex(variant, archive_.variant_count());
  const VariantInfo info = archive_.variant(variant);
  CheckIndex(tensor, info.tensor_count);
  const auto bytes = std::as_writable_bytes(std::span(out.data(), out.size()));
  held_.emplace(next_, std::move(out));
  worker_->Add(next_, info.first_tensor + tensor, bytes);
  return next_++;
}

bool BackgroundReads::Finish(uint64_t number) {
  std::optional<bool> filled;
  while (!filled) {
    {
      const nb::gil_scoped_release release;
      filled = worker_->WaitFor(number);
    }
    if (PyErr_CheckSignals() != 0) {
      nb::python_error raised;
      Cancel();
      throw raised;
    }
  }
  held_.erase(number);
  return *filled;
}

void BackgroundReads::Cancel() {
  // What another thread begins meanwhile keeps its memory.
  const auto dropped = std::exchange(held_, {});
  const nb::gil_scoped_release release;
  worker_->Cancel();
}

void BindBackgroundReads(nb::module_& module) {
  nb::class_<BackgroundReads>(module, "BackgroundReads")
      .def(nb::init<const OpenArchive*, unsigned>(), nb::keep_alive<1, 2>(), nb::arg("archive"),
           nb::arg("threads"))
      .def("begin", &BackgroundReads::Begin, nb::arg("variant"), nb::arg("tensor"),
           nb::arg("out").noconvert())
      .def("finish", &BackgroundReads::Finish, nb::arg("number"))
      .def("cancel", &BackgroundReads::Cancel);
}

}  // namespace qstore::python
