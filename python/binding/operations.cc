// SPDX-License-Identifier: Apache-2.0
#include <nanobind/nanobind.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "interruptible.h"
#include "module.h"
#include "qstore/archive.h"
#include "qstore/change.h"
#include "qstore/get.h"
#include "qstore/pack.h"
#include "qstore/unpack.h"
#include "qstore/verify.h"
#include "source.h"

namespace qstore::python {
namespace {

// Of tuples of a name and a path.
std::vector<VariantSource> ToSources(const nb::list& sources) {
  std::vector<VariantSource> result;
  for (const nb::handle source : sources) {
    const auto pair = nb::cast<nb::tuple>(source);
    result.push_back({ToString(pair[0]), ToPath(nb::cast<nb::bytes>(pair[1]))});
  }
  return result;
}

std::vector<std::string> ToPaths(const nb::list& paths) {
  std::vector<std::string> result;
  for (const nb::handle path : paths) result.push_back(ToPath(nb::cast<nb::bytes>(path)));
  return result;
}

// Of tuples of a child and a parent.
std::vector<ParentChoice> ToChoices(const nb::list& parents) {
  std::vector<ParentChoice> result;
  for (const nb::handle choice : parents) {
    const auto pair = nb::cast<nb::tuple>(choice);
    result.push_back({ToString(pair[0]), ToString(pair[1])});
  }
  return result;
}

// Calls `work` with `variants` and those of all `folders`.
template <class Report, class Work>
Result<Report> WithFolders(std::vector<VariantSource> variants,
                           const std::vector<std::string>& folders, const Work& work) {
  for (const std::string& folder : folders) {
    auto found = ListVariants(folder);
    if (!found.ok()) return found.status();
    for (VariantSource& each : *found) variants.push_back(std::move(each));
  }
  return work(variants);
}

nb::tuple PackFiles(const nb::list& sources, const nb::list& each, const nb::bytes& output,
                    int level, const nb::list& parents, const nb::list& direct, bool sha256,
                    unsigned threads, uint64_t memory, bool overwrite, bool sync,
                    const nb::object& progress) {
  const std::vector<VariantSource> variants = ToSources(sources);
  const std::vector<std::string> folders = ToPaths(each);
  const std::string path = ToPath(output);
  PackOptions options;
  options.level = static_cast<Level>(level);
  options.parents = ToChoices(parents);
  options.direct = ToStrings(direct);
  options.sha256 = sha256;
  options.threads = threads;
  options.memory_limit = memory;
  options.overwrite = overwrite;
  options.sync = sync;
  const auto report =
      RunInterruptibly<PackReport>(progress, nullptr, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return WithFolders<PackReport>(variants, folders,
                                       [&](const auto& all) { return Pack(all, path, options); });
      });
  return nb::make_tuple(report.source_bytes, report.stored_bytes);
}

nb::tuple AddFiles(const nb::bytes& archive, const nb::list& sources, const nb::list& each,
                   int level, const nb::list& parents, const nb::list& direct, unsigned threads,
                   uint64_t memory, bool sync, const nb::object& progress) {
  const std::string path = ToPath(archive);
  const std::vector<VariantSource> variants = ToSources(sources);
  const std::vector<std::string> folders = ToPaths(each);
  AddOptions options;
  options.level = static_cast<Level>(level);
  options.parents = ToChoices(parents);
  options.direct = ToStrings(direct);
  options.threads = threads;
  options.memory_limit = memory;
  options.sync = sync;
  const auto report =
      RunInterruptibly<AddReport>(progress, nullptr, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return WithFolders<AddReport>(variants, folders,
                                      [&](const auto& all) { return Add(path, all, options); });
      });
  return nb::make_tuple(report.source_bytes, report.added_bytes, report.read_bytes,
                        report.stored_bytes);
}

nb::tuple DropVariants(const nb::bytes& archive, const nb::list& names, bool sync) {
  const std::string path = ToPath(archive);
  const std::vector<std::string> variants = ToStrings(names);
  const auto report = RunInterruptibly<DropReport>(
      nb::none(), nullptr,
      [&](const ProgressCallback&) { return Drop(path, variants, DropOptions{sync}); });
  return nb::make_tuple(report.stored_bytes, report.dead_bytes);
}

// An empty output: in place.
nb::tuple CompactFile(const nb::bytes& archive, const nb::bytes& output, bool overwrite, bool sync,
                      const nb::object& progress) {
  const std::string path = ToPath(archive);
  CompactOptions options;
  options.output = ToPath(output);
  options.overwrite = overwrite;
  options.sync = sync;
  const auto report =
      RunInterruptibly<CompactReport>(progress, nullptr, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return Compact(path, options);
      });
  return nb::make_tuple(report.before_bytes, report.stored_bytes);
}

nb::tuple UnpackFiles(const OpenArchive& archive, const nb::str& variant,
                      const nb::bytes& directory, const nb::str& tensors, const nb::bytes& file,
                      unsigned threads, uint64_t max_bytes, bool overwrite, bool sync,
                      const nb::object& progress) {
  const std::string name = ToString(variant);
  const std::string path = ToPath(directory);
  UnpackOptions options;
  options.threads = threads;
  options.max_bytes = max_bytes;
  options.overwrite = overwrite;
  options.sync = sync;
  options.tensors = ToString(tensors);
  options.file = ToPath(file);
  const auto report = RunInterruptibly<UnpackReport>(progress, archive.source(),
                                                     [&](const ProgressCallback& callback) {
                                                       options.progress = callback;
                                                       return Unpack(archive, name, path, options);
                                                     });
  return nb::make_tuple(report.files, report.bytes);
}

nb::tuple VerifyFiles(const OpenArchive& archive, const nb::list& originals, const nb::list& each,
                      unsigned threads, uint64_t max_bytes, const nb::object& progress) {
  const std::vector<VariantSource> variants = ToSources(originals);
  const std::vector<std::string> folders = ToPaths(each);
  VerifyOptions options;
  options.threads = threads;
  options.max_bytes = max_bytes;
  const auto report = RunInterruptibly<VerifyReport>(
      progress, archive.source(), [&](const ProgressCallback& callback) {
        options.progress = callback;
        return WithFolders<VerifyReport>(
            variants, folders, [&](const auto& all) { return Verify(archive, all, options); });
      });
  return nb::make_tuple(report.files, report.bytes, report.compared_bytes);
}

// The path, and what keeps it in the cache as long as it lives.
nb::tuple GetFiles(const OpenArchive& archive, const nb::str& variant, const nb::bytes& file,
                   const nb::bytes& cache, uint64_t cache_size, unsigned threads,
                   const nb::object& progress) {
  const std::string name = ToString(variant);
  GetOptions options;
  options.file = ToPath(file);
  options.cache = ToPath(cache);
  options.cache_size = cache_size;
  options.threads = threads;
  const auto report = RunInterruptibly<GetReport>(progress, archive.source(),
                                                  [&](const ProgressCallback& callback) {
                                                    options.progress = callback;
                                                    return Get(archive, name, options);
                                                  });
  using Lock = std::shared_ptr<const void>;
  auto lock = std::make_unique<Lock>(report.in_use);
  const nb::capsule held(lock.get(), [](void* kept) noexcept { delete static_cast<Lock*>(kept); });
  static_cast<void>(lock.release());
  return nb::make_tuple(nb::bytes(report.path.c_str()), held);
}

}  // namespace

void BindOperations(nb::module_& module) {
  module.def("get", &GetFiles, nb::arg("archive"), nb::arg("variant"), nb::arg("file"),
             nb::arg("cache"), nb::arg("cache_size"), nb::arg("threads"),
             nb::arg("progress").none());
  module.def("pack", &PackFiles, nb::arg("sources"), nb::arg("each"), nb::arg("output"),
             nb::arg("level"), nb::arg("parents"), nb::arg("direct"), nb::arg("sha256"),
             nb::arg("threads"), nb::arg("memory"), nb::arg("overwrite"), nb::arg("sync"),
             nb::arg("progress").none());
  module.def("add", &AddFiles, nb::arg("archive"), nb::arg("sources"), nb::arg("each"),
             nb::arg("level"), nb::arg("parents"), nb::arg("direct"), nb::arg("threads"),
             nb::arg("memory"), nb::arg("sync"), nb::arg("progress").none());
  module.def("drop", &DropVariants, nb::arg("archive"), nb::arg("variants"), nb::arg("sync"));
  module.def("compact", &CompactFile, nb::arg("archive"), nb::arg("output"), nb::arg("overwrite"),
             nb::arg("sync"), nb::arg("progress").none());
  module.def("unpack", &UnpackFiles, nb::arg("archive"), nb::arg("variant"), nb::arg("directory"),
             nb::arg("tensors"), nb::arg("file"), nb::arg("threads"), nb::arg("max_bytes"),
             nb::arg("overwrite"), nb::arg("sync"), nb::arg("progress").none());
  module.def("verify", &VerifyFiles, nb::arg("archive"), nb::arg("originals"), nb::arg("each"),
             nb::arg("threads"), nb::arg("max_bytes"), nb::arg("progress").none());
}

}  // namespace qstore::python
