// SPDX-License-Identifier: Apache-2.0
#include "background_reads.h"

#include <unistd.h>

#include <span>
#include <utility>

#include "errors.h"
#include "gil.h"
#include "interruptible.h"

namespace qstore::python {

BackgroundReads::BackgroundReads(const OpenArchive* archive, unsigned threads)
    : archive_(*archive),
      process_(::getpid()),
      queue_(std::make_unique<ReadQueue>(*archive, threads)) {}

BackgroundReads::~BackgroundReads() {
  if (process_ != ::getpid()) {
    // A child has no such thread; to end it, or its locks, is undefined.
    static_cast<void>(queue_.release());
    return;
  }
  const GilRelease release;
  queue_.reset();
}

uint64_t BackgroundReads::Begin(size_t variant, size_t tensor, Buffer out) {
  CheckIndex(variant, archive_.variant_count());
  const VariantInfo info = archive_.variant(variant);
  CheckIndex(tensor, info.tensor_count);
  const auto bytes = std::as_writable_bytes(std::span(out.data(), out.size()));
  // All that needs memory comes first: nothing may write to what nobody holds.
  std::map<uint64_t, Buffer> held;
  held.emplace(0, std::move(out));
  const uint64_t number = Unwrap(queue_->Begin({info.first_tensor + tensor, bytes}));
  auto entry = held.extract(held.begin());
  entry.key() = number;
  held_.insert(std::move(entry));
  return number;
}

bool BackgroundReads::Finish(uint64_t number) {
  SignalCheck check;
  Status status;
  {
    const GilRelease release;
    status = queue_->Finish(number, check.progress());
  }
  held_.erase(number);
  if (check.raised()) Cancel();
  check.Rethrow();
  return status.ok();
}

void BackgroundReads::Cancel() {
  // What another thread begins meanwhile keeps its memory.
  const auto dropped = std::exchange(held_, {});
  const GilRelease release;
  queue_->Cancel();
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
