// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "qstore/dtype.h"
#include "qstore/status.h"

namespace qstore::cli {

/// The program qstore-zipnn of the Python package, which has imported the library zipnn and
/// compresses what it is asked to.
/// Not thread-safe.
class Zipnn {
 public:
  /// Starts it. REQUIRES: no other thread runs yet. Errors: kNotFound, telling what to install.
  static Result<std::shared_ptr<Zipnn>> Start();
  ~Zipnn();
  Zipnn(const Zipnn&) = delete;
  Zipnn& operator=(const Zipnn&) = delete;

  /// Bytes that ZipNN makes of a part of a file, 256 MiB at a time. Errors: kIo.
  Result<uint64_t> Size(const std::filesystem::path& file, uint64_t offset, uint64_t size,
                        DType dtype);

 private:
  Zipnn(int socket, int process) : socket_(socket), process_(process) {}
  Status Send(const std::string& line) const;
  Result<std::string> Receive() const;

  int socket_;
  int process_;
};

}  // namespace qstore::cli
