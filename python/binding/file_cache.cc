// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/file_cache.h"

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include "errors.h"
#include "gil.h"
#include "module.h"
#include "source.h"

namespace qstore::python {
namespace {

// Its threads may be reading, by Python where that is what reads the archive, when it goes.
class Cache {
 public:
  // REQUIRES: `archive` outlives this object.
  Cache(const OpenArchive* archive, uint64_t memory, unsigned threads) : archive_(*archive) {
    mount::FileCacheOptions options;
    options.memory = memory;
    options.threads = threads;
    options.is_slow = archive->source() != nullptr;
    cache_ = Unwrap(mount::FileCache::Make(archive_, options));
  }
  ~Cache() {
    const GilRelease release;
    cache_.reset();
  }
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // Python owns it.
  mount::Reading* Begin(size_t variant, size_t file) const {
    CheckIndex(variant, archive_.variant_count());
    const VariantInfo info = archive_.variant(variant);
    CheckIndex(file, info.file_count);
    return std::make_unique<mount::Reading>(info.first_file + file).release();
  }

  // Fewer bytes than `size` where the file ends.
  nb::bytes Read(mount::Reading* reading, uint64_t offset, uint64_t size) const {
    const uint64_t end = archive_.file(reading->file()).size;
    if (offset > end) throw nb::value_error("beyond the end of the file");
    const auto count = static_cast<size_t>(size < end - offset ? size : end - offset);
    nb::object bytes =
        nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(count)));
    if (!bytes.is_valid()) throw nb::python_error();
    const std::span out(reinterpret_cast<std::byte*>(PyBytes_AsString(bytes.ptr())), count);
    Status status;
    {
      const GilRelease release;
      status = cache_->Read(reading, offset, out);
    }
    if (!status.ok()) Throw(status);
    return nb::borrow<nb::bytes>(bytes);
  }

 private:
  const OpenArchive& archive_;
  std::unique_ptr<mount::FileCache> cache_;
};

}  // namespace

void BindFileCache(nb::module_& module) {
  nb::class_<mount::Reading>(module, "Reading");
  nb::class_<Cache>(module, "FileCache")
      .def(nb::init<const OpenArchive*, uint64_t, unsigned>(), nb::keep_alive<1, 2>(),
           nb::arg("archive"), nb::arg("memory"), nb::arg("threads"))
      .def("begin", &Cache::Begin, nb::arg("variant"), nb::arg("file"),
           nb::rv_policy::take_ownership)
      .def("read", &Cache::Read, nb::arg("reading"), nb::arg("offset"), nb::arg("size"));
}

}  // namespace qstore::python
