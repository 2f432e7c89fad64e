// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <string>
#include <vector>

namespace qstore::python {

namespace nb = nanobind;

// What functions are called with, as containers of C++. The conversions of nanobind itself end the
// process where there is no memory; these throw. All REQUIRE the GIL.

/// The UTF-8 of a str. Throws TypeError, and UnicodeEncodeError for lone surrogates.
std::string ToString(nb::handle text);
/// A path as os.fsencode makes it.
std::string ToPath(const nb::bytes& bytes);
/// Of a list of str.
std::vector<std::string> ToStrings(const nb::list& texts);

}  // namespace qstore::python
