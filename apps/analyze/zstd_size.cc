// SPDX-License-Identifier: Apache-2.0
#include "analyze/zstd_size.h"

#include <zstd.h>

#include <string>
#include <utility>

namespace qstore::analyze {

struct ZstdSize::Context {
  ZSTD_CCtx* compress = ZSTD_createCCtx();
  std::vector<std::byte> out = std::vector<std::byte>(ZSTD_CStreamOutSize());
  uint64_t size = 0;
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() { ZSTD_freeCCtx(compress); }

  Status Run(std::span<const std::byte> piece, ZSTD_EndDirective end) {
    ZSTD_inBuffer in = {piece.data(), piece.size(), 0};
    for (;;) {
      ZSTD_outBuffer out_buffer = {out.data(), out.size(), 0};
      const size_t left = ZSTD_compressStream2(compress, &out_buffer, &in, end);
      if (ZSTD_isError(left)) return InternalError(std::string("zstd: ") + ZSTD_getErrorName(left));
      size += out_buffer.pos;
      if (end == ZSTD_e_end ? left == 0 : in.pos == in.size) return {};
    }
  }
};

ZstdSize::ZstdSize(std::unique_ptr<Context> context) : context_(std::move(context)) {}
ZstdSize::~ZstdSize() = default;
ZstdSize::ZstdSize(ZstdSize&&) noexcept = default;

Result<ZstdSize> ZstdSize::Begin(int level, uint64_t size) {
  auto context = std::make_unique<Context>();
  ZSTD_CCtx* compress = context->compress;
  if (compress == nullptr) return LimitExceeded("zstd: no memory for a context");
  for (const size_t code : {ZSTD_CCtx_setParameter(compress, ZSTD_c_compressionLevel, level),
                            ZSTD_CCtx_setPledgedSrcSize(compress, size)}) {
    if (ZSTD_isError(code)) return InternalError(std::string("zstd: ") + ZSTD_getErrorName(code));
  }
  return ZstdSize(std::move(context));
}

Status ZstdSize::Add(std::span<const std::byte> piece) {
  return context_->Run(piece, ZSTD_e_continue);
}

Result<uint64_t> ZstdSize::Finish() {
  const Status ended = context_->Run({}, ZSTD_e_end);
  if (!ended.ok()) return ended;
  return context_->size;
}

int LowestZstdLevel() { return ZSTD_minCLevel(); }
int HighestZstdLevel() { return ZSTD_maxCLevel(); }

}  // namespace qstore::analyze
