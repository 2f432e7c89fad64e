// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "codec/kernels/kernels.h"

namespace qstore::codec {

/// Appends bit fields, least significant bit first, to bytes. Writes whole words behind the
/// position: the buffer must have kSlack bytes to spare.
class BitWriter {
 public:
  static constexpr size_t kSlack = 8;

  explicit BitWriter(uint8_t* at) : begin_(at), at_(at) {}
  /// Goes on where `sink` ends; Finish counts its bytes too.
  explicit BitWriter(const BitSink& sink)
      : begin_(sink.bytes), at_(sink.bytes + (sink.position >> 3)), used_(sink.position & 7) {
    word_ = *at_ & ((1u << used_) - 1);
  }

  /// REQUIRES: value < 2^count, count <= 56.
  void Put(uint64_t value, unsigned count) {
    word_ |= value << used_;
    used_ += count;
    std::memcpy(at_, &word_, sizeof(word_));
    const unsigned bytes = used_ >> 3;
    at_ += bytes;
    word_ = bytes == 8 ? 0 : word_ >> (8 * bytes);
    used_ &= 7;
  }
  /// Ends at a byte boundary with zero bits. Returns the number of bytes written.
  size_t Finish() {
    if (used_ > 0) {
      *at_++ = static_cast<uint8_t>(word_);
      word_ = 0;
      used_ = 0;
    }
    return static_cast<size_t>(at_ - begin_);
  }

 private:
  uint8_t* begin_;
  uint8_t* at_;
  uint64_t word_ = 0;
  unsigned used_ = 0;
};

}  // namespace qstore::codec
