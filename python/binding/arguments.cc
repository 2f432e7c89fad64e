// SPDX-License-Identifier: Apache-2.0
#include "arguments.h"

namespace qstore::python {

std::string ToString(nb::handle text) {
  Py_ssize_t size = 0;
  const char* const bytes = PyUnicode_AsUTF8AndSize(text.ptr(), &size);
  if (bytes == nullptr) throw nb::python_error();
  return {bytes, static_cast<size_t>(size)};
}

std::string ToPath(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }

std::vector<std::string> ToStrings(const nb::list& texts) {
  std::vector<std::string> strings;
  for (const nb::handle text : texts) strings.push_back(ToString(text));
  return strings;
}

}  // namespace qstore::python
