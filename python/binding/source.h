// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "qstore/archive.h"
#include "qstore/byte_source.h"

namespace qstore::python {

namespace nb = nanobind;

/// A source written in Python: qstore._sources.Source says what the object has to do.
/// Thread-safety: Read and CheckUnchanged take the GIL, and must not be called by who holds it.
class PythonSource final : public ByteSource {
 public:
  /// REQUIRES: the GIL.
  explicit PythonSource(nb::object object);
  ~PythonSource() override;
  PythonSource(const PythonSource&) = delete;
  PythonSource& operator=(const PythonSource&) = delete;

  uint64_t size() const override { return size_; }
  Status Read(uint64_t offset, std::span<std::byte> out) const override;
  Status CheckUnchanged() const override;
  std::string identity() const override { return identity_; }
  /// REQUIRES: the GIL.
  void Interrupt() const override;

 private:
  nb::object object_;
  uint64_t size_ = 0;
  std::string identity_;
};

/// An archive and, when it is no file, what it is read from.
class OpenArchive : public Archive {
 public:
  /// `max_memory` is that of the options it was opened with.
  OpenArchive(Archive archive, std::shared_ptr<const ByteSource> source, uint64_t max_memory)
      : Archive(std::move(archive)), source_(std::move(source)), max_memory_(max_memory) {}
  uint64_t max_memory() const { return max_memory_; }
  /// Null for a file.
  const ByteSource* source() const { return source_.get(); }

 private:
  std::shared_ptr<const ByteSource> source_;
  uint64_t max_memory_;
};

}  // namespace qstore::python
