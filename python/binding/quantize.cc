// SPDX-License-Identifier: Apache-2.0
#include "qstore/quantize.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "interruptible.h"
#include "module.h"

namespace nb = nanobind;

namespace qstore::python {
namespace {

using Patterns = std::vector<std::string>;

nb::tuple QuantizeFiles(const nb::bytes& source, const nb::bytes& output, int target, int rest,
                        const Patterns& include, const Patterns& exclude, bool overwrite, bool sync,
                        unsigned threads, const nb::object& progress) {
  const std::string from(source.c_str(), source.size());
  const std::string to(output.c_str(), output.size());
  QuantizeOptions options;
  options.target = static_cast<QuantizeTarget>(target);
  options.rest = static_cast<QuantizeRest>(rest);
  options.include = include;
  options.exclude = exclude;
  options.overwrite = overwrite;
  options.sync = sync;
  options.threads = threads;
  const auto report =
      RunInterruptibly<QuantizeReport>(progress, nullptr, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return Quantize(from, to, options);
      });
  return nb::make_tuple(report.quantized, report.cast, report.kept, report.output_bytes);
}

}  // namespace

void BindQuantize(nb::module_& module) {
  module.def("quantize", &QuantizeFiles, nb::arg("source"), nb::arg("output"), nb::arg("target"),
             nb::arg("rest"), nb::arg("include"), nb::arg("exclude"), nb::arg("overwrite"),
             nb::arg("sync"), nb::arg("threads"), nb::arg("progress").none());
}

}  // namespace qstore::python
