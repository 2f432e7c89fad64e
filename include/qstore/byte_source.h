// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "qstore/export.h"
#include "qstore/status.h"

namespace qstore {

/// Bytes that can be read at any offset: a file, a part of one, memory, an object on a server.
/// Thread-safety: all member functions may be called from many threads at once.
class QSTORE_EXPORT ByteSource {
 public:
  virtual ~ByteSource();
  virtual uint64_t size() const = 0;
  /// Fills `out` from `offset`. An error when the range does not lie inside the source.
  virtual Status Read(uint64_t offset, std::span<std::byte> out) const = 0;
  /// Asked when bytes prove to be damaged, to tell why. Errors: kSourceChanged when the source is
  /// no longer what it was when it was opened.
  virtual Status CheckUnchanged() const;
  /// A text that is another when the content is another, as far as can be told: a size and a time,
  /// an ETag. Empty when nothing can.
  virtual std::string identity() const;
  /// Has reads that are running end soon by kCancelled, where they can; later ones are not
  /// concerned. May be called from a handler of signals, but for sources that say otherwise.
  virtual void Interrupt() const;
};

}  // namespace qstore
