// SPDX-License-Identifier: Apache-2.0
#include "raw_codec.h"

#include <lz4.h>
#include <zstd.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <new>
#include <thread>

namespace qstore::cli {
namespace {

class Lz4 final : public RawCodec {
 public:
  size_t Compress(std::span<const std::byte> raw, std::span<std::byte> out) override {
    const int size =
        LZ4_compress_default(Chars(raw), reinterpret_cast<char*>(out.data()),
                             static_cast<int>(raw.size()), static_cast<int>(out.size()));
    return size > 0 ? static_cast<size_t>(size) : 0;
  }
  bool Decompress(std::span<const std::byte> stored, std::span<std::byte> out) override {
    const int size =
        LZ4_decompress_safe(Chars(stored), reinterpret_cast<char*>(out.data()),
                            static_cast<int>(stored.size()), static_cast<int>(out.size()));
    return size >= 0 && static_cast<size_t>(size) == out.size();
  }

 private:
  static const char* Chars(std::span<const std::byte> bytes) {
    return reinterpret_cast<const char*>(bytes.data());
  }
};

class Zstd final : public RawCodec {
 public:
  explicit Zstd(int level) : level_(level) {}
  ~Zstd() override {
    ZSTD_freeCCtx(compressor_);
    ZSTD_freeDCtx(decompressor_);
  }
  size_t Compress(std::span<const std::byte> raw, std::span<std::byte> out) override {
    if (compressor_ == nullptr) compressor_ = ZSTD_createCCtx();
    const size_t size =
        ZSTD_compressCCtx(compressor_, out.data(), out.size(), raw.data(), raw.size(), level_);
    return ZSTD_isError(size) != 0 ? 0 : size;
  }
  bool Decompress(std::span<const std::byte> stored, std::span<std::byte> out) override {
    if (decompressor_ == nullptr) decompressor_ = ZSTD_createDCtx();
    return ZSTD_decompressDCtx(decompressor_, out.data(), out.size(), stored.data(),
                               stored.size()) == out.size();
  }

 private:
  int level_;
  ZSTD_CCtx* compressor_ = nullptr;
  ZSTD_DCtx* decompressor_ = nullptr;
};

}  // namespace

RawCodecFactory Lz4Codec() {
  return [] { return std::make_unique<Lz4>(); };
}

RawCodecFactory ZstdCodec(int level) {
  return [level] { return std::make_unique<Zstd>(level); };
}

Status ForChunks(size_t count, unsigned threads, const RawCodecFactory& codec,
                 const std::function<Status(size_t chunk, ChunkWorker* worker)>& work) {
  std::atomic<size_t> next{0};
  std::mutex mutex;
  Status first_error;
  const Status out_of_memory = LimitExceeded("out of memory");
  const auto fail = [&](const Status& status) {
    next = count;
    const std::lock_guard lock(mutex);
    if (first_error.ok()) first_error = status;
  };
  const auto run = [&] {
    try {
      ChunkWorker worker;
      if (codec) worker.codec = codec();
      for (size_t chunk; (chunk = next.fetch_add(1)) < count;) {
        const Status status = work(chunk, &worker);
        if (!status.ok()) fail(status);
      }
    } catch (const std::bad_alloc&) {
      fail(out_of_memory);
    }
  };
  std::vector<std::thread> others;
  try {
    for (unsigned t = 1; t < threads && t < count; ++t) others.emplace_back(run);
  } catch (const std::exception&) {
    // The system refuses more threads: those that there are do all the work.
  }
  run();
  for (std::thread& thread : others) thread.join();
  return first_error;
}

}  // namespace qstore::cli
