// SPDX-License-Identifier: Apache-2.0
#include "base/sha256.h"

// The plain functions of libcrypto: those by name (EVP) bring all of its algorithms into a program
// that is linked statically, and take milliseconds to set up.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace qstore::base {

struct Sha256Hasher::State {
  SHA256_CTX context;
};

Sha256Hasher::Sha256Hasher() : state_(std::make_unique<State>()) { SHA256_Init(&state_->context); }

Sha256Hasher::~Sha256Hasher() = default;

void Sha256Hasher::Update(std::span<const std::byte> bytes) {
  SHA256_Update(&state_->context, bytes.data(), bytes.size());
}

Sha256Digest Sha256Hasher::Finish() {
  Sha256Digest digest{};
  SHA256_Final(digest.data(), &state_->context);
  SHA256_Init(&state_->context);
  return digest;
}

}  // namespace qstore::base
