// SPDX-License-Identifier: Apache-2.0
#include "codec/general.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <string>

#include "base/bytes.h"

namespace qstore::codec {
namespace {

// The decoder itself takes several frames for one, and frames without content beside them.
bool IsOneFrame(std::span<const std::byte> bytes) {
  return bytes.size() >= sizeof(uint32_t) &&
         base::LoadLe<uint32_t>(bytes.data()) == ZSTD_MAGICNUMBER &&
         ZSTD_findFrameCompressedSize(bytes.data(), bytes.size()) == bytes.size();
}

bool IsOutOfMemory(size_t result) {
  return ZSTD_getErrorCode(result) == ZSTD_error_memory_allocation;
}

}  // namespace

struct Zstd::Contexts {
  ZSTD_CCtx* compress = nullptr;
  ZSTD_DCtx* decompress = nullptr;
  ~Contexts() {
    ZSTD_freeCCtx(compress);
    ZSTD_freeDCtx(decompress);
  }
};

Zstd::Zstd() : contexts_(std::make_unique<Contexts>()) {}
Zstd::~Zstd() = default;
Zstd::Zstd(Zstd&&) noexcept = default;
Zstd& Zstd::operator=(Zstd&&) noexcept = default;

Status Zstd::Compress(std::span<const std::byte> raw, int level, std::vector<std::byte>* out) {
  if (contexts_->compress == nullptr) contexts_->compress = ZSTD_createCCtx();
  if (contexts_->compress == nullptr) return LimitExceeded("zstd: no memory for a context");
  const size_t begin = out->size();
  out->resize(begin + ZSTD_compressBound(raw.size()));
  const size_t size = ZSTD_compressCCtx(contexts_->compress, out->data() + begin,
                                        out->size() - begin, raw.data(), raw.size(), level);
  if (IsOutOfMemory(size)) return LimitExceeded("zstd: no memory to compress");
  if (ZSTD_isError(size)) return InternalError(std::string("zstd: ") + ZSTD_getErrorName(size));
  out->resize(begin + size);
  return {};
}

Status Zstd::Decompress(std::span<const std::byte> frame, std::span<std::byte> raw) {
  if (contexts_->decompress == nullptr) contexts_->decompress = ZSTD_createDCtx();
  if (contexts_->decompress == nullptr) return LimitExceeded("zstd: no memory for a context");
  if (!IsOneFrame(frame)) return Corrupt("zstd frame: not one frame and nothing else");
  const size_t size = ZSTD_decompressDCtx(contexts_->decompress, raw.data(), raw.size(),
                                          frame.data(), frame.size());
  if (IsOutOfMemory(size)) return LimitExceeded("zstd: no memory to decompress");
  if (ZSTD_isError(size)) return Corrupt(std::string("zstd frame: ") + ZSTD_getErrorName(size));
  if (size != raw.size()) return Corrupt("zstd frame: content is shorter than the chunk");
  return {};
}

}  // namespace qstore::codec
