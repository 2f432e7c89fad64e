// SPDX-License-Identifier: Apache-2.0
#include "analyze/extract.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "io/output_file.h"

namespace qstore::analyze {
namespace {

constexpr uint64_t kReadBytes = uint64_t{4} << 20;

// A tensor as runs of equal length, `stride` bytes from one to the next, of which the parts
// [begin, end) of `ranges` (in bytes) are taken.
struct Cut {
  uint64_t lines = 1;
  uint64_t stride = 0;
  std::vector<RowRange> ranges;
};

uint64_t Total(const std::vector<RowRange>& ranges) {
  return std::accumulate(ranges.begin(), ranges.end(), uint64_t{0},
                         [](uint64_t sum, const RowRange& r) { return sum + r.end - r.begin; });
}

std::vector<RowRange> Scaled(const std::vector<RowRange>& rows, uint64_t outs, uint64_t bytes) {
  std::vector<RowRange> scaled;
  for (const RowRange& row : rows)
    scaled.push_back({row.begin * bytes / outs, row.end * bytes / outs});
  return scaled;
}

class Extractor {
 public:
  Extractor(const Level& level, const std::vector<RowRange>& rows) : level_(level), rows_(rows) {}

  Result<Level> Run(const std::filesystem::path& directory) {
    const uint64_t kept = Total(rows_);
    std::vector<io::SafetensorsTensor> tensors;
    for (const TensorAt* tensor : level_.tensors()) {
      tensors.push_back(tensor->tensor);
      if (IsCut(*tensor)) tensors.back().shape[OutDimension(*tensor)] = Size(*tensor, kept);
    }
    QSTORE_ASSIGN(const auto layout, io::LayOutSafetensors(tensors, {{"format", "pt"}}));
    const std::filesystem::path path = directory / "model.safetensors";
    QSTORE_ASSIGN(const auto out,
                  io::OutputFile::Create(path, {.overwrite = false, .sync = false, .tidy = false}));
    QSTORE_TRY(out->WriteAt(0, std::as_bytes(std::span(layout.prefix))));
    for (const TensorAt* tensor : level_.tensors()) {
      QSTORE_TRY(Copy(*tensor, Placed(layout.header, tensor->tensor.name).begin, out.get()));
      QSTORE_TRY(tensor->file->CheckUnchanged());
    }
    QSTORE_TRY(out->Commit());
    QSTORE_ASSIGN(const auto file, io::SourceFile::Open(path));
    Level extracted = level_;
    extracted.outs = kept;
    for (auto* tensor : {&extracted.weight, Pointer(&extracted.scales), Pointer(&extracted.zeros),
                         Pointer(&extracted.g_idx), Pointer(&extracted.format)}) {
      if (tensor != nullptr) *tensor = {file, Placed(layout.header, tensor->tensor.name)};
    }
    return extracted;
  }

 private:
  static TensorAt* Pointer(std::optional<TensorAt>* tensor) {
    return tensor->has_value() ? &**tensor : nullptr;
  }
  static const io::SafetensorsTensor& Placed(const io::SafetensorsHeader& header,
                                             const std::string& name) {
    return *std::find_if(header.tensors.begin(), header.tensors.end(),
                         [&](const auto& tensor) { return tensor.name == name; });
  }

  bool Is(const std::optional<TensorAt>& some, const TensorAt& tensor) const {
    return some && &*some == &tensor;
  }
  // Whether the tensor has a part for each row of weights.
  bool IsCut(const TensorAt& tensor) const {
    return !Is(level_.g_idx, tensor) && !Is(level_.format, tensor);
  }
  bool IsTransposed() const { return level_.form == LevelForm::kGptq; }
  size_t OutDimension(const TensorAt&) const { return IsTransposed() ? 1 : 0; }
  // Of the dimension along the rows; zero points are packed along it.
  uint64_t Size(const TensorAt& tensor, uint64_t rows) const {
    return tensor.tensor.shape[OutDimension(tensor)] * rows / level_.outs;
  }

  Status Copy(const TensorAt& tensor, uint64_t to, io::OutputFile* out) {
    Cut cut;
    cut.stride = tensor.byte_size();
    cut.ranges = {{0, cut.stride}};
    if (IsCut(tensor) && Total(rows_) != level_.outs) {
      if (IsTransposed()) cut.lines = tensor.tensor.shape[0];
      cut.stride /= cut.lines;
      cut.ranges = Scaled(rows_, level_.outs, cut.stride);
    }
    for (uint64_t line = 0; line < cut.lines; ++line) {
      for (const RowRange& range : cut.ranges) {
        const uint64_t from = tensor.tensor.begin + line * cut.stride;
        QSTORE_TRY(CopyBytes(*tensor.file, from + range.begin, from + range.end, &to, out));
      }
    }
    return {};
  }

  Status CopyBytes(const io::SourceFile& file, uint64_t begin, uint64_t end, uint64_t* to,
                   io::OutputFile* out) {
    for (uint64_t at = begin; at < end; at += kReadBytes) {
      piece_.resize(static_cast<size_t>(std::min(kReadBytes, end - at)));
      QSTORE_TRY(file.Read(at, piece_));
      QSTORE_TRY(out->WriteAt(*to, piece_));
      *to += piece_.size();
    }
    return {};
  }

  const Level& level_;
  const std::vector<RowRange>& rows_;
  std::vector<std::byte> piece_;
};

}  // namespace

std::vector<RowRange> SampleRows(uint64_t rows, uint64_t wanted) {
  const uint64_t blocks = (rows + kSampleRows - 1) / kSampleRows;
  const uint64_t kept =
      std::max<uint64_t>(1, (std::min(wanted, rows) + kSampleRows - 1) / kSampleRows);
  if (wanted >= rows || kept >= blocks) return {{0, rows}};
  std::vector<RowRange> ranges;
  for (uint64_t i = 0; i < kept; ++i) {
    const uint64_t block = (2 * i + 1) * blocks / (2 * kept);
    ranges.push_back({block * kSampleRows, std::min(rows, (block + 1) * kSampleRows)});
  }
  return ranges;
}

Result<Level> ExtractLevel(const Level& level, const std::vector<RowRange>& rows,
                           const std::filesystem::path& directory) {
  return Extractor(level, rows).Run(directory);
}

}  // namespace qstore::analyze
