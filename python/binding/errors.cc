// SPDX-License-Identifier: Apache-2.0
#include "errors.h"

#include <string>

namespace qstore::python {

void Throw(const Status& status) {
  const std::string name(ErrorCodeName(status.code()));
  const nb::object type = nb::module_::import_("qstore.errors").attr("BY_CODE")[name.c_str()];
  const std::string& message = status.message();
  // Messages quote paths and names, which need not be UTF-8.
  const nb::object text = nb::steal(PyUnicode_DecodeUTF8(
      message.data(), static_cast<Py_ssize_t>(message.size()), "backslashreplace"));
  PyErr_SetObject(type.ptr(), text.ptr());
  throw nb::python_error();
}

}  // namespace qstore::python
