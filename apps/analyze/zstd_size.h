// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "qstore/status.h"

namespace qstore::analyze {

/// How long one zstd frame of a content would be that is too long to be held. Not thread-safe.
class ZstdSize {
 public:
  /// `size` is the length of the content, which zstd fits its tables to.
  static Result<ZstdSize> Begin(int level, uint64_t size);
  ~ZstdSize();
  ZstdSize(ZstdSize&&) noexcept;

  /// The next piece of the content. Errors: kInternal, more than the size given.
  Status Add(std::span<const std::byte> piece);
  /// Bytes of the frame. Errors: kInternal, less than the size given.
  Result<uint64_t> Finish();

 private:
  struct Context;
  explicit ZstdSize(std::unique_ptr<Context> context);
  std::unique_ptr<Context> context_;
};

/// The levels that this build's zstd has.
int LowestZstdLevel();
int HighestZstdLevel();

}  // namespace qstore::analyze
