// SPDX-License-Identifier: Apache-2.0
#include "base/hash.h"

#include <sys/random.h>

#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/isa.h"
#include "base/kernels/hash_kernels.h"

namespace qstore::base {

const HashKernels kScalarHash = {
    [](const void* bytes, size_t size) -> uint64_t { return XXH3_64bits(bytes, size); },
    [](void* state, const void* bytes, size_t size) {
      XXH3_128bits_update(static_cast<XXH3_state_t*>(state), bytes, size);
    },
};

namespace {

const HashKernels& ActiveHash() {
  static const HashKernels& active = []() -> const HashKernels& {
#if defined(QSTORE_X86_KERNELS)
    if (ActiveIsa() == Isa::kAvx512) return kAvx512Hash;
    if (ActiveIsa() == Isa::kAvx2) return kAvx2Hash;
#endif
    return kScalarHash;
  }();
  return active;
}

}  // namespace

struct Hasher128::State {
  XXH3_state_t xxh;
};

uint64_t TableHash(std::span<const std::byte> bytes) {
  // Where a random device is refused, the place of a variable in memory still is not known to
  // strangers.
  static const uint64_t seed = []() -> uint64_t {
    const auto place = reinterpret_cast<uintptr_t>(&ActiveHash());
    uint64_t drawn = 0;
    if (getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) != sizeof(drawn)) return place;
    return drawn ^ place;
  }();
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

uint64_t Hash64(std::span<const std::byte> bytes) {
  return ActiveHash().hash64(bytes.data(), bytes.size());
}

Hasher128::Hasher128() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->xxh); }
Hasher128::~Hasher128() = default;
Hasher128::Hasher128(Hasher128&&) noexcept = default;
Hasher128& Hasher128::operator=(Hasher128&&) noexcept = default;

void Hasher128::Update(std::span<const std::byte> bytes) {
  ActiveHash().update128(&state_->xxh, bytes.data(), bytes.size());
}

Digest128 Hasher128::Finish() const {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state_->xxh));
  Digest128 digest;
  static_assert(sizeof(canonical.digest) == sizeof(digest));
  std::memcpy(digest.data(), canonical.digest, sizeof(digest));
  return digest;
}

}  // namespace qstore::base
