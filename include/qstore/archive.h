// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "qstore/byte_source.h"
#include "qstore/dtype.h"
#include "qstore/export.h"
#include "qstore/loaded_tensors.h"
#include "qstore/progress.h"
#include "qstore/status.h"

namespace qstore {

namespace store {
class ArchiveFile;
struct ReadTargets;
}  // namespace store

/// A precision of the model. Names and paths here and below live as long as the Archive.
struct VariantInfo {
  std::string_view name;
  uint64_t source_bytes = 0;  ///< Of its files.
  size_t first_file = 0;      ///< Its files are [first_file, first_file + file_count).
  size_t file_count = 0;
  size_t first_tensor = 0;  ///< Its tensors are [first_tensor, first_tensor + tensor_count).
  size_t tensor_count = 0;
};

struct FileInfo {
  std::string_view path;  ///< Relative, '/'-separated.
  uint64_t size = 0;
  std::array<uint8_t, 16> digest{};  ///< XXH3-128, the bytes that `xxhsum -H2` prints.
  std::string_view container;        ///< "safetensors", "gguf", "imatrix"; empty for other bytes.
  bool is_directory = false;         ///< Of a directory without files, which has no content.
  bool is_executable = false;
  /// Where it was packed with PackOptions::sha256: what `sha256sum` prints. None of a directory.
  std::optional<std::array<uint8_t, 32>> sha256;
};

struct TensorInfo {
  std::string_view name;
  DType dtype = DType::kU8;
  std::span<const uint64_t> shape;
  uint64_t byte_size = 0;
  size_t file = 0;
};

/// What a variant takes.
struct VariantSizes {
  /// Payloads stored for it that no earlier variant uses, those that dropped variants left for it
  /// included. With those of all variants, the index, header, footer and the dead bytes they make
  /// up the archive.
  uint64_t own_bytes = 0;
  /// Bytes read from the archive by Open and by reading all its tensors at once: header, footer,
  /// index, the payloads of its tensors, of the parents needed and of its safetensors headers.
  uint64_t load_bytes = 0;
  uint64_t tensor_bytes = 0;   ///< Content of its tensors.
  uint64_t tensor_stored = 0;  ///< Payloads of its tensors, shared ones included, parents' not.
};

/// How a tensor is stored.
struct TensorCoding {
  std::string_view scheme;               ///< How it follows from its parents, or "none".
  std::vector<std::string_view> codecs;  ///< Of its chunks, each once: "raw", "scheme", …
  std::vector<size_t> parents;           ///< Tensors that it follows from, the main one first.
  /// Of the scheme, as the page of the format about it lays them out. Lives as long as the Archive.
  std::span<const std::byte> params;
  std::optional<size_t> same_as;  ///< An earlier tensor of equal content, stored once.
  uint64_t stored_bytes = 0;      ///< Of its payloads, parents' not included.
};

inline constexpr uint64_t kAllRows = UINT64_MAX;

/// A tensor, or rows of it, and where its bytes go.
struct ReadRequest {
  size_t tensor = 0;
  /// The size of the content exactly, see Archive::RowsByteSize.
  std::span<std::byte> out;
  uint64_t row_begin = 0;  ///< In the leading dimension.
  uint64_t row_end = kAllRows;
};

/// Room for the largest parent that the format lets chunks take whole (512 MiB), with what it takes
/// to decode it, and little enough for a container of 1 GiB.
inline constexpr uint64_t kDefaultMaxMemory = uint64_t{640} << 20;

struct OpenOptions {
  /// When set, called before every read of the file with the number of bytes; it may wait, as a
  /// limit of bandwidth does. Called from many threads at once.
  std::function<void(uint64_t bytes)> before_read;
  /// Most bytes of memory, more or less, that the index and a call which reads take, but for the
  /// tensors that the call fills. Where it does not allow for all threads, fewer decode; what does
  /// not fit on one is refused, before anything is decoded. Calls that run at once each have what
  /// the index leaves.
  uint64_t max_memory = kDefaultMaxMemory;
  /// For sources whose reads take long to begin, such as a server. When not 0, what a call needs is
  /// read before it is decoded, by this many threads, in reads of `read_size` bytes at most that
  /// take in gaps of a 64th of it. Takes memory of about (read_ahead + 2) * read_size, at most a
  /// quarter of `max_memory`; Open reads up to 64 KiB before the index too.
  unsigned read_ahead = 0;
  uint64_t read_size = uint64_t{4} << 20;
};

/// An open archive. Everything in it has been checked when Open returns but the payloads of chunks,
/// which are checked whenever they are read, and that a file has the tensors that are listed of it,
/// which is checked when content of one of them is first read.
/// Thread-safety: all member functions may be called from many threads at once.
class QSTORE_EXPORT Archive {
 public:
  /// Reads header, footer and index.
  /// Errors, naming the path and the rule: kNotFound, kIo, kCorrupt, kUnsupportedVersion,
  /// kUnsupportedFeature, kLimit, kInvalidArgument (a directory).
  static Result<Archive> Open(const std::filesystem::path& path, const OpenOptions& options = {});
  /// Reads from `source` in place of a file; `name` stands for it in messages and in path().
  /// Errors: those above that a file's content can have, and those of the source.
  static Result<Archive> Open(std::shared_ptr<const ByteSource> source, std::string name,
                              const OpenOptions& options = {});
  ~Archive();
  Archive(Archive&&) noexcept;
  Archive& operator=(Archive&&) noexcept;

  const std::filesystem::path& path() const;
  /// A text that is another for other content at the same path: what the source tells of itself
  /// (ByteSource::identity), and the checksum of the index.
  std::string identity() const;
  uint16_t format_version() const;
  uint64_t stored_bytes() const;
  /// Of these, what no variant needs: payloads of variants that were dropped, and earlier indices.
  uint64_t dead_bytes() const;
  /// Bytes read from the file since Open began.
  uint64_t bytes_read() const;

  /// In the order they are stored.
  size_t variant_count() const;
  VariantInfo variant(size_t index) const;
  Result<size_t> FindVariant(std::string_view name) const;
  /// Errors: kLimit.
  Result<VariantSizes> SizesOf(size_t variant) const;

  FileInfo file(size_t index) const;

  /// The tensors of a file are ordered by name.
  TensorInfo tensor(size_t index) const;
  /// Of several tensors of one name in a variant, the one in the first file. kNotFound otherwise.
  Result<size_t> FindTensor(size_t variant, std::string_view name) const;
  /// By tensor of the variant, in order. Errors: kLimit, where that takes more than
  /// OpenOptions::max_memory leaves.
  Result<std::vector<TensorCoding>> CodingsOf(size_t variant) const;

  /// Bytes of rows [row_begin, row_end) of a tensor. Errors: kInvalidArgument (no such tensor or
  /// rows, a scalar with rows, rows that are no whole number of bytes).
  Result<uint64_t> RowsByteSize(size_t tensor, uint64_t row_begin, uint64_t row_end) const;

  /// Fills all requests at once, reading the archive in its order and decoding on `threads` threads
  /// (0: all processors) straight into the buffers. Tensors of several variants may be asked for
  /// together: a parent that is asked for too is decoded once. Reads no chunk that is not needed.
  /// Memory beside the buffers: a few MiB for each thread, and parents that chunks take whole, such
  /// as scales; see OpenOptions::max_memory.
  /// `progress` is told, about once in a MiB of the archive, how many of the buffers' bytes have
  /// been filled, more or less. On an error the content of the buffers is undefined.
  /// Errors: kInvalidArgument (tensors, sizes, rows), kCorrupt (naming tensor, chunk and offset, or
  /// file, tensor and rule where index and header of a file differ), kLimit (naming the tensor
  /// whose parents do not fit), kIo, kCancelled.
  Status Read(std::span<const ReadRequest> requests, unsigned threads = 0,
              const ProgressCallback& progress = {}) const;
  Status ReadTensor(size_t tensor, std::span<std::byte> out, unsigned threads = 0) const;
  Status ReadRows(size_t tensor, uint64_t row_begin, uint64_t row_end, std::span<std::byte> out,
                  unsigned threads = 0) const;

  /// Bytes [begin, begin + out.size()) of a file as it was packed: a safetensors header, a config.
  /// Checks chunks but not the digest of the file, which Unpack and Verify do.
  /// Errors: kInvalidArgument (beyond the file's end), and those of Read.
  Status ReadFile(size_t file, uint64_t begin, std::span<std::byte> out,
                  unsigned threads = 0) const;

  /// All tensors of these variants (0 to variant_count() - 1), read together into fresh memory for
  /// which the system is asked for huge pages: the fastest way to load. Errors: those of Read, and
  /// kLimit when the tensors are more than `max_bytes` or there is not so much memory.
  Result<LoadedTensors> Load(std::span<const size_t> variants, unsigned threads = 0,
                             const ProgressCallback& progress = {},
                             uint64_t max_bytes = UINT64_MAX) const;
  /// The memory that Load fills for these variants, not read yet: for those who need to know where
  /// tensors will lie. `Read(tensors.requests())` reads them. Errors: kLimit.
  Result<LoadedTensors> Allocate(std::span<const size_t> variants,
                                 uint64_t max_bytes = UINT64_MAX) const;

  /// For the library's own use.
  const store::ArchiveFile& impl() const { return *impl_; }

 private:
  explicit Archive(std::unique_ptr<store::ArchiveFile> impl);
  Result<LoadedTensors> AllocateUpTo(std::span<const size_t> variants, uint64_t max_bytes) const;
  Status ReadParts(size_t file, uint64_t begin, std::span<std::byte> out, unsigned threads) const;
  Status ReadTargets(store::ReadTargets wanted, unsigned threads,
                     const ProgressCallback& progress) const;
  std::unique_ptr<store::ArchiveFile> impl_;
};

/// The instruction set that coding and decoding use: "scalar", "avx2" or "avx512" (with
/// VBMI, VBMI2 and GFNI: Intel Ice Lake, AMD Zen 4, and later). The best one of
/// the machine, or what the environment variable QSTORE_ISA names when the machine has it.
QSTORE_EXPORT std::string_view InstructionSet();

}  // namespace qstore
