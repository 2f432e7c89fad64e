// SPDX-License-Identifier: Apache-2.0
#include "qstore/archive.h"

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "errors.h"
#include "interruptible.h"
#include "module.h"
#include "qstore/source.h"
#include "source.h"

namespace qstore::python {
namespace {

// Paths in an archive are bytes; what is not UTF-8 becomes surrogates, as in os.fsdecode.
nb::object Text(std::string_view bytes) {
  return nb::steal(
      PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "surrogateescape"));
}

nb::object OrNone(const std::optional<size_t>& index) {
  return index ? nb::object(nb::int_(*index)) : nb::object(nb::none());
}

// `max_memory` here and below as in OpenOptions.
OpenArchive Open(const nb::bytes& path, uint64_t max_memory) {
  const std::string name = ToPath(path);
  OpenOptions options;
  options.max_memory = max_memory;
  const auto work = [&](const ProgressCallback&) { return Archive::Open(name, options); };
  return {RunReading<Archive>(nb::none(), nullptr, work), nullptr, max_memory};
}

OpenArchive OpenPython(const nb::object& object, const nb::str& shown, uint64_t max_memory) {
  const std::string name = ToString(shown);
  const auto source = std::make_shared<const PythonSource>(object);
  OpenOptions options;
  options.max_memory = max_memory;
  const auto work = [&](const ProgressCallback&) {
    return qstore::OpenArchive({source, name, true}, options);
  };
  return {RunReading<Archive>(nb::none(), source.get(), work), source, max_memory};
}

// What `headers` has are pairs of bytes. Errors are those of qstore::OpenSource.
OpenArchive OpenHttp(const nb::str& location, const nb::list& headers, double timeout,
                     unsigned retries, double least_rate, double deadline, bool unsafe_redirects,
                     const nb::str& certificates, uint64_t max_memory) {
  const std::string url = ToString(location);
  HttpOptions http;
  for (const nb::handle header : headers) {
    const auto pair = nb::cast<nb::tuple>(header);
    http.headers.emplace_back(ToPath(nb::cast<nb::bytes>(pair[0])),
                              ToPath(nb::cast<nb::bytes>(pair[1])));
  }
  http.timeout = timeout;
  http.retries = retries;
  http.least_rate = least_rate;
  http.deadline = deadline;
  http.unsafe_redirects = unsafe_redirects;
  http.certificates = ToString(certificates);
  OpenOptions options;
  options.max_memory = max_memory;
  // Later reads are interrupted by way of the source.
  const auto is_opening = std::make_shared<std::atomic<bool>>(true);
  std::shared_ptr<const ByteSource> source;
  const auto work = [&](const ProgressCallback& callback) -> Result<Archive> {
    http.go_on = [is_opening, &callback] { return !*is_opening || callback({}); };
    auto opened = OpenSource(url, http);
    if (!opened.ok()) return opened.status();
    source = opened->source;
    return qstore::OpenArchive(*opened, options);
  };
  Archive archive = RunInterruptibly<Archive>(nb::none(), nullptr, work);
  *is_opening = false;
  return {std::move(archive), source, max_memory};
}

// Objects of Python for so many rows of a table, of about `bytes` each.
void CheckRows(const OpenArchive& archive, const char* what, size_t count, uint64_t bytes) {
  if (count <= archive.max_memory() / bytes) return;
  Throw(LimitExceeded(archive.path().string() + ": a list of " + std::to_string(count) + " " +
                      what + " takes more than the " + std::to_string(archive.max_memory()) +
                      " bytes of memory allowed (max_memory)"));
}

nb::list Variants(const OpenArchive& archive) {
  nb::list list;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo info = archive.variant(v);
    list.append(nb::make_tuple(info.name, info.source_bytes, info.first_file, info.file_count,
                               info.first_tensor, info.tensor_count));
  }
  return list;
}

VariantInfo VariantAt(const Archive& archive, size_t variant) {
  CheckIndex(variant, archive.variant_count());
  return archive.variant(variant);
}

nb::object Sha256Of(const FileInfo& file) {
  if (!file.sha256) return nb::none();
  return nb::bytes(file.sha256->data(), file.sha256->size());
}

nb::list Files(const OpenArchive& archive, size_t variant) {
  const VariantInfo info = VariantAt(archive, variant);
  CheckRows(archive, "files", info.file_count, 512);
  nb::list list;
  for (size_t f = info.first_file; f < info.first_file + info.file_count; ++f) {
    const FileInfo file = archive.file(f);
    list.append(nb::make_tuple(Text(file.path), file.size,
                               nb::bytes(file.digest.data(), file.digest.size()), file.container,
                               file.is_directory, file.is_executable, Sha256Of(file)));
  }
  return list;
}

nb::list Tensors(const OpenArchive& archive, size_t variant) {
  const VariantInfo info = VariantAt(archive, variant);
  CheckRows(archive, "tensors", info.tensor_count, 1024);
  nb::list list;
  for (size_t t = info.first_tensor; t < info.first_tensor + info.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(t);
    nb::list shape;
    for (const uint64_t dimension : tensor.shape) shape.append(dimension);
    list.append(nb::make_tuple(Text(tensor.name), DTypeName(tensor.dtype), nb::tuple(shape),
                               tensor.byte_size, tensor.file - info.first_file));
  }
  return list;
}

nb::object TensorName(const OpenArchive& archive, size_t variant, size_t tensor) {
  const VariantInfo info = VariantAt(archive, variant);
  CheckIndex(tensor, info.tensor_count);
  return Text(archive.tensor(info.first_tensor + tensor).name);
}

nb::tuple Sizes(const OpenArchive& archive, size_t variant) {
  VariantAt(archive, variant);
  const VariantSizes sizes = Unwrap(archive.SizesOf(variant));
  return nb::make_tuple(sizes.own_bytes, sizes.load_bytes, sizes.tensor_bytes, sizes.tensor_stored);
}

nb::list Codings(const OpenArchive& archive, size_t variant) {
  VariantAt(archive, variant);
  nb::list list;
  const std::vector<TensorCoding> codings = Unwrap(archive.CodingsOf(variant));
  uint64_t params = 0;
  for (const TensorCoding& coding : codings) params += coding.params.size();
  CheckRows(archive, "bytes of parameters", params, 1);
  for (const TensorCoding& coding : codings) {
    list.append(nb::make_tuple(coding.stored_bytes, coding.scheme,
                               nb::tuple(nb::cast(coding.codecs)), nb::cast(coding.parents),
                               OrNone(coding.same_as),
                               nb::bytes(coding.params.data(), coding.params.size())));
  }
  return list;
}

Result<bool> Done(Status status) {
  if (!status.ok()) return status;
  return true;
}

// Every `step`-th of the rows [begin, end), each a request of its own when there are gaps.
Result<bool> ReadRows(const Archive& archive, size_t tensor, std::span<std::byte> out,
                      uint64_t begin, uint64_t end, uint64_t step, unsigned threads,
                      const ProgressCallback& progress) {
  if (step == 1) {
    const ReadRequest request{tensor, out, begin, end};
    return Done(archive.Read({&request, 1}, threads, progress));
  }
  std::vector<ReadRequest> requests;
  const uint64_t count = (end - begin + step - 1) / step;
  const uint64_t row_bytes = count == 0 ? 0 : out.size() / count;
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t row = begin + i * step;
    requests.push_back({tensor, out.subspan(i * row_bytes, row_bytes), row, row + 1});
  }
  return Done(archive.Read(requests, threads, progress));
}

void Read(const OpenArchive& archive, size_t variant, size_t tensor, const Buffer& out,
          uint64_t begin, const nb::object& end, uint64_t step, unsigned threads) {
  const VariantInfo info = VariantAt(archive, variant);
  CheckIndex(tensor, info.tensor_count);
  const uint64_t last = end.is_none() ? kAllRows : nb::cast<uint64_t>(end);
  if (step == 0 || (step != 1 && last < begin)) throw nb::value_error("no such rows");
  const auto bytes = std::as_writable_bytes(std::span(out.data(), out.size()));
  const auto work = [&](const ProgressCallback& progress) {
    return ReadRows(archive, info.first_tensor + tensor, bytes, begin, last, step, threads,
                    progress);
  };
  RunReading<bool>(nb::none(), archive.source(), work);
}

// Rows of several tensors at once: each of `parts` is (tensor, out, begin, end), its end may be
// None.
void ReadParts(const OpenArchive& archive, size_t variant, const nb::list& parts,
               unsigned threads) {
  const VariantInfo info = VariantAt(archive, variant);
  std::vector<Buffer> held;
  std::vector<ReadRequest> requests;
  for (const nb::handle part : parts) {
    const auto tensor = nb::cast<size_t>(part[0]);
    CheckIndex(tensor, info.tensor_count);
    const Buffer& out = held.emplace_back(nb::cast<Buffer>(part[1], /*convert=*/false));
    const nb::object end = part[3];
    requests.push_back(
        {info.first_tensor + tensor, std::as_writable_bytes(std::span(out.data(), out.size())),
         nb::cast<uint64_t>(part[2]), end.is_none() ? kAllRows : nb::cast<uint64_t>(end)});
  }
  RunReading<bool>(nb::none(), archive.source(), [&](const ProgressCallback& progress) {
    return Done(archive.Read(requests, threads, progress));
  });
}

nb::bytes ReadFile(const OpenArchive& archive, size_t variant, size_t file, uint64_t begin,
                   const nb::object& end) {
  const VariantInfo info = VariantAt(archive, variant);
  CheckIndex(file, info.file_count);
  const uint64_t size = archive.file(info.first_file + file).size;
  const uint64_t last = end.is_none() ? size : nb::cast<uint64_t>(end);
  if (begin > last || last > size) throw nb::value_error("beyond the end of the file");
  nb::object bytes =
      nb::steal(PyBytes_FromStringAndSize(nullptr, static_cast<Py_ssize_t>(last - begin)));
  if (!bytes.is_valid()) throw nb::python_error();
  const std::span out(reinterpret_cast<std::byte*>(PyBytes_AsString(bytes.ptr())), last - begin);
  RunReading<bool>(nb::none(), archive.source(), [&](const ProgressCallback&) {
    return Done(archive.ReadFile(info.first_file + file, begin, out));
  });
  return nb::borrow<nb::bytes>(bytes);
}

LoadedTensors Allocate(const OpenArchive& archive, size_t variant, uint64_t max_bytes) {
  VariantAt(archive, variant);
  return Unwrap(archive.Allocate({&variant, 1}, max_bytes));
}

// By tensor of the variant. The memory lives as long as one of them.
nb::list Contents(nb::handle_t<LoadedTensors> self) {
  const auto& tensors = nb::cast<const LoadedTensors&>(self);
  nb::list views;
  for (size_t i = 0; i < tensors.size(); ++i) views.append(View(tensors.content(i), self));
  return views;
}

void Load(const OpenArchive& archive, const LoadedTensors& tensors, unsigned threads,
          const nb::object& progress) {
  RunReading<bool>(progress, archive.source(), [&](const ProgressCallback& callback) {
    return Done(archive.Read(tensors.requests(), threads, callback));
  });
}

// nanobind notes its objects in a table that ends the process when it cannot grow. Here it grows,
// for good, to more of them than a process usually has at a time.
void MakeRoomForObjects() {
  constexpr int kObjects = 64;
  nb::list objects;
  for (int i = 0; i < kObjects; ++i) objects.append(nb::cast(LoadedTensors()));
}

}  // namespace

void BindArchive(nb::module_& module) {
  nb::class_<LoadedTensors>(module, "LoadedTensors").def("contents", &Contents);
  nb::class_<OpenArchive>(module, "Archive")
      .def_static("open", &Open, nb::arg("path"), nb::arg("max_memory"))
      .def_static("open_http", &OpenHttp, nb::arg("url"), nb::arg("headers"), nb::arg("timeout"),
                  nb::arg("retries"), nb::arg("least_rate"), nb::arg("deadline"),
                  nb::arg("unsafe_redirects"), nb::arg("certificates"), nb::arg("max_memory"))
      .def_static("open_source", &OpenPython, nb::arg("source"), nb::arg("name"),
                  nb::arg("max_memory"))
      .def_prop_ro("path", [](const OpenArchive& archive) { return Text(archive.path().string()); })
      .def_prop_ro("format_version", &Archive::format_version)
      .def_prop_ro("stored_bytes", &Archive::stored_bytes)
      .def_prop_ro("dead_bytes", &Archive::dead_bytes)
      .def_prop_ro("bytes_read", &Archive::bytes_read)
      .def("variants", &Variants)
      .def("files", &Files, nb::arg("variant"))
      .def("tensors", &Tensors, nb::arg("variant"))
      .def("tensor_name", &TensorName, nb::arg("variant"), nb::arg("tensor"))
      .def("sizes", &Sizes, nb::arg("variant"))
      .def("codings", &Codings, nb::arg("variant"))
      .def("read", &Read, nb::arg("variant"), nb::arg("tensor"), nb::arg("out").noconvert(),
           nb::arg("begin") = 0, nb::arg("end") = nb::none(), nb::arg("step") = 1,
           nb::arg("threads") = 0)
      .def("read_parts", &ReadParts, nb::arg("variant"), nb::arg("parts"), nb::arg("threads") = 0)
      .def("read_file", &ReadFile, nb::arg("variant"), nb::arg("file"), nb::arg("begin") = 0,
           nb::arg("end") = nb::none())
      .def("allocate", &Allocate, nb::arg("variant"), nb::arg("max_bytes") = UINT64_MAX)
      .def("load", &Load, nb::arg("tensors"), nb::arg("threads") = 0,
           nb::arg("progress") = nb::none());
  MakeRoomForObjects();
}

}  // namespace qstore::python
