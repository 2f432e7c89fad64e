// SPDX-License-Identifier: Apache-2.0
#include "pack_summary.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <span>
#include <string_view>

#include "bench/posix_file.h"
#include "bench/raw_codec.h"
#include "terminal.h"

namespace qstore::cli {
namespace {

constexpr uint64_t kSampleBytes = uint64_t{256} << 10;
constexpr uint64_t kSamplesOfVariant = 16;
constexpr int kZstdLevel = 3;

// Where a file of the archive came from.
std::filesystem::path SourceOf(const VariantSource& source, std::string_view path) {
  std::error_code error;
  if (std::filesystem::is_directory(source.path, error)) return source.path / path;
  return source.path.parent_path() / path;
}

/// Compresses samples, and tells what the whole would become.
class ZstdEstimate {
 public:
  // Of `samples` places of a file, at equal distances.
  void Add(const std::filesystem::path& path, uint64_t size, uint64_t samples) {
    const auto file = PosixFile::OpenRead(path);
    if (!file.ok()) return;
    const uint64_t piece = std::min(kSampleBytes, size);
    for (uint64_t i = 0; i < samples; ++i) {
      const uint64_t room = size - piece;
      raw_.resize(piece);
      if (!(*file)->ReadAt(samples < 2 ? room / 2 : room / (samples - 1) * i, raw_).ok()) return;
      // Room for a few bytes less: what does not shrink counts as it is.
      stored_.resize(piece);
      const size_t made = codec_->Compress(raw_, stored_);
      sampled_ += piece;
      made_ += made == 0 ? piece : made;
    }
  }
  uint64_t Of(uint64_t bytes) const {
    if (sampled_ == 0) return 0;
    return static_cast<uint64_t>(static_cast<double>(bytes) * static_cast<double>(made_) /
                                 static_cast<double>(sampled_));
  }

 private:
  std::unique_ptr<RawCodec> codec_ = ZstdCodec(kZstdLevel)();
  std::vector<std::byte> raw_;
  std::vector<std::byte> stored_;
  uint64_t sampled_ = 0;
  uint64_t made_ = 0;
};

uint64_t EstimateZstd(const Archive& archive, const VariantInfo& variant,
                      const VariantSource& source) {
  ZstdEstimate estimate;
  for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
    const FileInfo file = archive.file(f);
    if (file.size == 0 || variant.source_bytes == 0) continue;
    const double share = static_cast<double>(file.size) / static_cast<double>(variant.source_bytes);
    const auto samples = static_cast<uint64_t>(share * kSamplesOfVariant + 0.5);
    estimate.Add(SourceOf(source, file.path), file.size, samples);
  }
  return estimate.Of(variant.source_bytes);
}

uint64_t HalfBytes(const Archive& archive, const VariantInfo& variant) {
  uint64_t bytes = 0;
  for (size_t t = 0; t < variant.tensor_count; ++t) {
    const TensorInfo tensor = archive.tensor(variant.first_tensor + t);
    const bool is_half = tensor.dtype == DType::kBF16 || tensor.dtype == DType::kF16;
    if (is_half) bytes += tensor.byte_size;
  }
  return bytes;
}

bool HasPart(std::string_view path, std::string_view part) {
  const std::string whole = "/" + std::string(path) + "/";
  return whole.find("/" + std::string(part) + "/") != std::string::npos;
}

// What is wrong with a file, or nothing.
std::string RemarkOn(const FileInfo& file) {
  if (file.is_directory) return "";
  const std::string_view path = file.path;
  for (const char* ending : {".safetensors", ".gguf"}) {
    if (path.ends_with(ending) && file.container.empty()) {
      return std::string("no valid ") + ending + " file, perhaps cut short; stored as plain bytes";
    }
  }
  for (const char* ending : {".bin", ".pt", ".pth", ".ckpt", ".pkl"}) {
    if (path.ends_with(ending) && file.size >= (uint64_t{1} << 16)) {
      return "perhaps a pickle, whose tensors are not seen; safetensors would be stored smaller";
    }
  }
  for (const char* folder : {".git", ".cache", "__pycache__", ".ipynb_checkpoints"}) {
    if (HasPart(path, folder)) return std::string("belongs to ") + folder + ", but is stored too";
  }
  for (const char* ending : {".tmp", ".part", ".incomplete", ".lock", ".pyc"}) {
    if (path.ends_with(ending)) return "looks like a leftover, but is stored too";
  }
  return "";
}

std::vector<std::string> RemarksOn(const Archive& archive) {
  std::map<std::string, std::pair<std::string, uint64_t>> found;  // The first file, and how many.
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    for (size_t f = variant.first_file; f < variant.first_file + variant.file_count; ++f) {
      const FileInfo file = archive.file(f);
      const std::string remark = RemarkOn(file);
      if (remark.empty()) continue;
      auto& [first, count] = found[remark];
      if (count++ == 0) first = std::string(variant.name) + "/" + std::string(file.path);
    }
  }
  std::vector<std::string> remarks;
  for (const auto& [remark, files] : found) {
    const auto& [first, count] = files;
    const std::string more = count == 1 ? "" : " and " + std::to_string(count - 1) + " more";
    remarks.push_back(Printable(first) + more + ": " + remark);
  }
  return remarks;
}

std::string Percent(uint64_t part, uint64_t whole) {
  std::array<char, 32> text{};
  const double share =
      whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
  std::snprintf(text.data(), text.size(), "%.1f %%", share);
  return text.data();
}

}  // namespace

Result<PackSummary> SummarizePack(const Archive& archive,
                                  const std::vector<VariantSource>& sources) {
  PackSummary summary;
  summary.stored_bytes = archive.stored_bytes();
  for (size_t v = 0; v < archive.variant_count(); ++v) {
    const VariantInfo variant = archive.variant(v);
    const auto sizes = archive.SizesOf(v);
    if (!sizes.ok()) return sizes.status();
    summary.source_bytes += variant.source_bytes;
    summary.variants.push_back(
        {std::string(variant.name), variant.source_bytes, sizes->own_bytes, sizes->load_bytes});
    const auto source = std::find_if(sources.begin(), sources.end(),
                                     [&](const auto& each) { return each.name == variant.name; });
    if (source != sources.end()) summary.zstd_bytes += EstimateZstd(archive, variant, *source);
    const bool is_half = 2 * HalfBytes(archive, variant) > sizes->tensor_bytes;
    if (is_half && variant.source_bytes > summary.half_bytes) {
      summary.half = variant.name;
      summary.half_bytes = variant.source_bytes;
    }
  }
  summary.remarks = RemarksOn(archive);
  return summary;
}

std::string TextOf(const PackSummary& summary) {
  std::string text;
  size_t width = 0;
  for (const PackSummary::Variant& each : summary.variants) {
    width = std::max(width, each.name.size());
  }
  for (const PackSummary::Variant& each : summary.variants) {
    text += "  " + each.name + std::string(width - each.name.size(), ' ') + " adds " +
            HumanBytes(each.own_bytes) + " (" + Percent(each.own_bytes, summary.stored_bytes) +
            " of the archive, " + Percent(each.own_bytes, each.source_bytes) + " of its " +
            HumanBytes(each.source_bytes) + ")\n";
  }
  if (!summary.half.empty() && summary.variants.size() > 1) {
    text += "  all variants together take " + Percent(summary.stored_bytes, summary.half_bytes) +
            " of the files of " + summary.half + " alone\n";
  }
  if (summary.zstd_bytes > 0) {
    text += "  zstd -3 would make about " + HumanBytes(summary.zstd_bytes) + " of all files (" +
            Percent(summary.zstd_bytes, summary.source_bytes) + "), by samples\n";
  }
  for (const std::string& remark : summary.remarks) text += "  note: " + remark + "\n";
  return text;
}

void AddTo(const PackSummary& summary, JsonWriter* document) {
  document->BeginArray("variants");
  for (const PackSummary::Variant& each : summary.variants) {
    document->BeginObject();
    document->Add("name", each.name);
    document->Add("source_bytes", each.source_bytes);
    document->Add("own_bytes", each.own_bytes);
    document->Add("load_bytes", each.load_bytes);
    document->End();
  }
  document->End();
  document->Add("zstd_estimate_bytes", summary.zstd_bytes);
  document->Add("remarks", summary.remarks);
}

}  // namespace qstore::cli
