// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "scheme/registry.h"

namespace qstore::testing {

/// Objects with what a scheme says of them.
struct Binding {
  std::string name;
  scheme::ObjectSpec child;
  std::vector<scheme::ObjectSpec> parents;
  std::vector<std::byte> params;

  Status Bind() const {
    for (const scheme::Scheme* each : scheme::Schemes()) {
      if (each->name() == name) {
        return scheme::BindScheme(each->id(), child, parents, params).status();
      }
    }
    return NotFound(name);
  }
};

inline scheme::ObjectSpec Object(DType dtype, uint64_t elems, uint64_t row_elems,
                                 uint64_t chunk_elems) {
  scheme::ObjectSpec spec;
  spec.dtype = dtype;
  spec.byte_size = elems * DTypeBits(dtype) / 8;
  spec.row_elems = row_elems;
  spec.chunk_elems = chunk_elems;
  return spec;
}

/// A binding that is refused once it is changed.
struct WrongCase {
  const char* name;
  Binding (*make)();
  std::function<void(Binding*)> change;
  ErrorCode code = ErrorCode::kCorrupt;
};
inline void PrintTo(const WrongCase& wrong, std::ostream* out) { *out << wrong.name; }

class WrongBinding : public ::testing::TestWithParam<WrongCase> {
 protected:
  void ExpectRefused() const {
    Binding binding = GetParam().make();
    GetParam().change(&binding);
    const Status status = binding.Bind();
    EXPECT_EQ(status.code(), GetParam().code) << status.ToString();
    EXPECT_FALSE(status.message().empty());
  }
};

}  // namespace qstore::testing
