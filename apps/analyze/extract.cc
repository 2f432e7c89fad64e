// SPDX-License-Identifier: Apache-2.0
#include "analyze/extract.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/status_macros.h"
#include "io/output_file.h"
#include "io/safetensors.h"

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

std::vector<RowRange> Scaled(const std::vector<RowRange>& rows, uint64_t of, uint64_t bytes) {
  std::vector<RowRange> scaled;
  for (const RowRange& row : rows) scaled.push_back({row.begin * bytes / of, row.end * bytes / of});
  return scaled;
}

class Extractor {
 public:
  Extractor(const LayerVariant& variant, const std::vector<RowRange>& rows)
      : variant_(variant), matrix_(variant.matrix), rows_(rows), kept_(Total(rows)) {}

  Result<LayerVariant> Run(const std::filesystem::path& directory) {
    std::vector<io::SafetensorsTensor> tensors;
    for (const WeightPart& part : matrix_.parts) {
      const CheckpointTensor tensor = variant_.tensor(part);
      std::vector<uint64_t> shape(tensor.shape.begin(), tensor.shape.end());
      if (const auto along = part.row_dimension) {
        shape[*along] = shape[*along] * kept_ / matrix_.rows;
      }
      tensors.push_back({std::string(tensor.name), tensor.dtype, std::move(shape)});
    }
    QSTORE_ASSIGN(const auto layout, io::LayOutSafetensors(tensors, {{"format", "pt"}}));
    const std::filesystem::path path = directory / "model.safetensors";
    QSTORE_ASSIGN(const auto out,
                  io::OutputFile::Create(path, {.overwrite = false, .sync = false, .tidy = false}));
    QSTORE_TRY(out->WriteAt(0, std::as_bytes(std::span(layout.prefix))));
    for (const WeightPart& part : matrix_.parts) {
      const CheckpointTensor tensor = variant_.tensor(part);
      const auto placed =
          std::find_if(layout.header.tensors.begin(), layout.header.tensors.end(),
                       [&](const auto& other) { return other.name == tensor.name; });
      const ByteSource& source = *variant_.model->file(tensor.file).content;
      QSTORE_TRY(Copy(part, source, placed->begin, out.get()));
      QSTORE_TRY(source.CheckUnchanged());
    }
    QSTORE_TRY(out->Commit());
    return Reopen(path);
  }

 private:
  Result<LayerVariant> Reopen(const std::filesystem::path& path) const {
    QSTORE_ASSIGN(Checkpoint model, Checkpoint::Open(path));
    const auto index = model.FindMatrix(matrix_.module);
    if (!index) return InternalError(path.string() + ": lost the weights of its layer");
    auto shared = std::make_shared<const Checkpoint>(std::move(model));
    WeightMatrix matrix = shared->matrix(*index);
    QSTORE_TRY(matrix.problem);
    return LayerVariant{std::move(shared), *index, std::move(matrix)};
  }

  Status Copy(const WeightPart& part, const ByteSource& source, uint64_t to, io::OutputFile* out) {
    const CheckpointTensor tensor = variant_.tensor(part);
    Cut cut;
    cut.stride = tensor.byte_size;
    cut.ranges = {{0, cut.stride}};
    if (part.row_dimension && kept_ != matrix_.rows) {
      for (const uint64_t size : tensor.shape.first(*part.row_dimension)) cut.lines *= size;
      cut.stride /= cut.lines;
      cut.ranges = Scaled(rows_, matrix_.rows, cut.stride);
    }
    for (uint64_t line = 0; line < cut.lines; ++line) {
      for (const RowRange& range : cut.ranges) {
        const uint64_t from = tensor.begin + line * cut.stride;
        QSTORE_TRY(CopyBytes(source, from + range.begin, from + range.end, &to, out));
      }
    }
    return {};
  }

  Status CopyBytes(const ByteSource& source, uint64_t begin, uint64_t end, uint64_t* to,
                   io::OutputFile* out) {
    for (uint64_t at = begin; at < end; at += kReadBytes) {
      piece_.resize(static_cast<size_t>(std::min(kReadBytes, end - at)));
      QSTORE_TRY(source.Read(at, piece_));
      QSTORE_TRY(out->WriteAt(*to, piece_));
      *to += piece_.size();
    }
    return {};
  }

  const LayerVariant& variant_;
  const WeightMatrix& matrix_;
  const std::vector<RowRange>& rows_;
  const uint64_t kept_;
  std::vector<std::byte> piece_;
};

}  // namespace

std::vector<RowRange> SampleRows(uint64_t rows, uint64_t wanted) {
  const uint64_t blocks = (rows + kWeightRows - 1) / kWeightRows;
  const uint64_t kept =
      std::max<uint64_t>(1, (std::min(wanted, rows) + kWeightRows - 1) / kWeightRows);
  if (wanted >= rows || kept >= blocks) return {{0, rows}};
  std::vector<RowRange> ranges;
  for (uint64_t i = 0; i < kept; ++i) {
    const uint64_t block = (2 * i + 1) * blocks / (2 * kept);
    ranges.push_back({block * kWeightRows, std::min(rows, (block + 1) * kWeightRows)});
  }
  return ranges;
}

Result<LayerVariant> ExtractLayer(const LayerVariant& variant, const std::vector<RowRange>& rows,
                                  const std::filesystem::path& directory) {
  return Extractor(variant, rows).Run(directory);
}

}  // namespace qstore::analyze
