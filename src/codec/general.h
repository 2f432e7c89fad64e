// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "qstore/status.h"

namespace qstore::codec {

/// zstd frames with contexts that are reused from call to call. Not thread-safe.
class Zstd {
 public:
  Zstd();
  ~Zstd();
  Zstd(Zstd&&) noexcept;
  Zstd& operator=(Zstd&&) noexcept;

  /// Appends one frame of `raw` at zstd's `level`.
  Status Compress(std::span<const std::byte> raw, int level, std::vector<std::byte>* out);
  /// Fills `raw` from one frame; kCorrupt unless `frame` is that alone and yields so many bytes.
  Status Decompress(std::span<const std::byte> frame, std::span<std::byte> raw);

 private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
};

}  // namespace qstore::codec
