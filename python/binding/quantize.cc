// SPDX-License-Identifier: Apache-2.0
#include "qstore_apps/quantize.h"

#include <nanobind/nanobind.h>
#include <nanobind/stl/string_view.h>

#include <string>
#include <string_view>
#include <vector>

#include "arguments.h"
#include "interruptible.h"
#include "module.h"
#include "qstore_apps/targets.h"

namespace nb = nanobind;

namespace qstore::python {
namespace {

template <class Name>
nb::list Names(const std::vector<Name>& names) {
  nb::list list;
  for (const Name& name : names) list.append(nb::cast(std::string_view(name)));
  return list;
}

nb::list TargetNames() { return Names(make::QuantizeTargetNames()); }

nb::tuple QuantizeFiles(const nb::bytes& source, const nb::bytes& output, const nb::str& target,
                        int rest, const nb::list& include, const nb::list& exclude, bool overwrite,
                        bool sync, unsigned threads, const nb::object& progress) {
  const std::string from = ToPath(source);
  const std::string to = ToPath(output);
  make::QuantizeOptions options;
  options.format = ToString(target);
  const auto known = make::QuantizeTargetOf(options.format);
  if (!known) throw nb::value_error("no target of that name");
  options.target = *known;
  options.rest = static_cast<make::QuantizeRest>(rest);
  options.include = ToStrings(include);
  options.exclude = ToStrings(exclude);
  options.overwrite = overwrite;
  options.sync = sync;
  options.threads = threads;
  const auto report = RunInterruptibly<make::QuantizeReport>(
      progress, nullptr, [&](const ProgressCallback& callback) {
        options.progress = callback;
        return make::Quantize(from, to, options);
      });
  return nb::make_tuple(Names(report.quantized), Names(report.cast), report.kept,
                        report.output_bytes);
}

}  // namespace

void BindQuantize(nb::module_& module) {
  module.def("quantize", &QuantizeFiles, nb::arg("source"), nb::arg("output"), nb::arg("target"),
             nb::arg("rest"), nb::arg("include"), nb::arg("exclude"), nb::arg("overwrite"),
             nb::arg("sync"), nb::arg("threads"), nb::arg("progress").none());
  module.def("quantize_targets", &TargetNames);
}

}  // namespace qstore::python
