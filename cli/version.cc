// SPDX-License-Identifier: Apache-2.0
#include "version.h"

#include "qstore/archive.h"

namespace qstore::cli {

std::string VersionText() {
#ifdef __clang__
  const std::string compiler = "clang " __clang_version__;
#else
  const std::string compiler = "gcc " __VERSION__;
#endif
  // Of a compiler's version, what comes before the name of its distribution.
  const std::string number = compiler.substr(0, compiler.find(' ', compiler.find(' ') + 1));
  return "qstore " QSTORE_VERSION " (" + number + ", " QSTORE_BUILD_TYPE ", kernels " +
         std::string(InstructionSet()) + ")";
}

}  // namespace qstore::cli
