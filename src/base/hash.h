// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace qstore::base {

/// XXH3-64 with seed 0 (xxHash 0.8). The checksum of chunks and of the index.
uint64_t Hash64(std::span<const std::byte> bytes);

/// The same with a seed that each process draws anew: for tables of names that strangers may have
/// chosen so that their hashes are equal. Thread-safe.
uint64_t TableHash(std::span<const std::byte> bytes);

/// XXH3-128 in its canonical big-endian byte order, the text `xxhsum -H2` prints.
using Digest128 = std::array<uint8_t, 16>;

/// XXH3-128 of a stream of bytes. Not thread-safe.
class Hasher128 {
 public:
  Hasher128();
  ~Hasher128();
  Hasher128(Hasher128&&) noexcept;
  Hasher128& operator=(Hasher128&&) noexcept;
  void Update(std::span<const std::byte> bytes);
  Digest128 Finish() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace qstore::base
