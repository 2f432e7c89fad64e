// SPDX-License-Identifier: Apache-2.0
#include "archive_summary.h"

#include <algorithm>

namespace qstore::cli {
namespace {

// Memory of what is printed about a tensor, more or less, but for names.
constexpr uint64_t kPrintedBytes = 2048;
// Memory of what is printed about a file, more or less, but for its path.
constexpr uint64_t kPrintedFileBytes = 512;

uint64_t NameBytes(const Archive& archive, const TensorCoding& coding) {
  uint64_t bytes = 2 * coding.params.size();
  for (const size_t parent : coding.parents) bytes += archive.tensor(parent).name.size();
  if (coding.same_as) bytes += archive.tensor(*coding.same_as).name.size();
  return bytes;
}

Status CheckMemory(uint64_t bytes, const ReadLimits& limits) {
  if (bytes <= limits.open.max_memory) return {};
  return LimitExceeded("a list of so many files or tensors takes more than the " +
                       std::to_string(limits.open.max_memory) +
                       " bytes of memory allowed (--max-memory)");
}

}  // namespace

uint64_t WeightsOf(const TensorInfo& tensor) {
  return tensor.byte_size * 8 / DTypeBits(tensor.dtype) * DTypeBlock(tensor.dtype);
}

double BitsPerWeight(uint64_t bytes, uint64_t weights) {
  return weights == 0 ? 0 : 8 * static_cast<double>(bytes) / static_cast<double>(weights);
}

Result<ArchiveSummary> Summarize(const Archive& archive) {
  ArchiveSummary summary;
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo info = archive.variant(v);
    const auto sizes = archive.SizesOf(v);
    if (!sizes.ok()) return sizes.status();
    uint64_t weights = 0;
    for (size_t t = 0; t < info.tensor_count; ++t) {
      weights += WeightsOf(archive.tensor(info.first_tensor + t));
    }
    summary.source_bytes += info.source_bytes;
    summary.most_weights = std::max(summary.most_weights, weights);
    summary.variants.push_back({info, *sizes, weights});
  }
  summary.bits_per_weight = BitsPerWeight(archive.stored_bytes(), summary.most_weights);
  return summary;
}

std::string Hex(std::span<const std::byte> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += kDigits[static_cast<unsigned>(byte) >> 4];
    text += kDigits[static_cast<unsigned>(byte) & 15];
  }
  return text;
}

std::string_view VariantOf(const Archive& archive, size_t tensor) {
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    if (tensor >= variant.first_tensor && tensor < variant.first_tensor + variant.tensor_count) {
      return variant.name;
    }
  }
  return {};
}

Status ForFiles(const Archive& archive, size_t variant, const ReadLimits& limits, uint64_t* memory,
                const UseFile& use) {
  const VariantInfo info = archive.variant(variant);
  for (size_t f = 0; f < info.file_count; ++f) {
    const FileInfo file = archive.file(info.first_file + f);
    *memory += kPrintedFileBytes + 6 * file.path.size();
    if (Status fits = CheckMemory(*memory, limits); !fits.ok()) return fits;
    use(file);
  }
  return {};
}

Status ForTensors(const Archive& archive, size_t variant, const ReadLimits& limits,
                  uint64_t* memory, const UseTensor& use) {
  const size_t first = archive.variant(variant).first_tensor;
  const auto codings = archive.CodingsOf(variant);
  if (!codings.ok()) return codings.status();
  for (size_t t = 0; t < codings->size(); ++t) {
    const TensorInfo tensor = archive.tensor(first + t);
    const TensorCoding& coding = (*codings)[t];
    *memory += kPrintedBytes + tensor.name.size() + archive.file(tensor.file).path.size() +
               NameBytes(archive, coding);
    if (Status fits = CheckMemory(*memory, limits); !fits.ok()) return fits;
    use(tensor, coding);
  }
  return {};
}

}  // namespace qstore::cli
