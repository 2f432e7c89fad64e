// SPDX-License-Identifier: Apache-2.0
#include "qstore/checkpoint.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "container/model_files.h"
#include "container/registry.h"
#include "io/file.h"
#include "io/safetensors.h"
#include "scheme/registry.h"

namespace qstore {
namespace {

using scheme::TensorDesc;

constexpr std::string_view kFloats = ".weight";

struct Tensor {
  std::string name;
  DType dtype = DType::kU8;
  std::vector<uint64_t> shape;
  size_t file = 0;
  uint64_t begin = 0;
  uint64_t byte_size = 0;
};

struct Matrix {
  WeightMatrix view;
  std::vector<WeightPart> parts;
  std::unique_ptr<const scheme::QuantizedWeights> weights;  // Null for floats.
};

class Tensors final : public scheme::TensorTable {
 public:
  std::vector<Tensor> all;
  std::map<std::string_view, size_t> by_name;  // Of several tensors of one name the first.

  void Index() {
    for (size_t i = 0; i < all.size(); ++i) by_name.emplace(all[i].name, i);
  }
  size_t size() const override { return all.size(); }
  TensorDesc tensor(size_t index) const override {
    return {all[index].name, all[index].dtype, all[index].shape};
  }
  std::optional<size_t> Find(std::string_view name) const override {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return std::nullopt;
    return found->second;
  }
};

std::string ShapeText(const TensorDesc& tensor) {
  std::string text(DTypeName(tensor.dtype));
  text += " [";
  for (size_t i = 0; i < tensor.shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(tensor.shape[i]);
  }
  return text + "]";
}

}  // namespace

struct Checkpoint::Model {
  std::vector<CheckpointFile> files;
  Tensors tensors;
  std::vector<Matrix> matrices;  // By module.

  Status ReadFiles(const std::filesystem::path& path) {
    QSTORE_ASSIGN(auto listed, container::ListModelFiles(path));
    std::erase_if(listed, [](const io::ModelFile& file) { return file.is_directory; });
    for (const io::ModelFile& file : listed) {
      // A model of one file keeps it open.
      QSTORE_ASSIGN(auto content, listed.size() == 1 ? io::SourceFile::Open(file.source)
                                                     : io::SourceFile::OpenOnDemand(file.source));
      QSTORE_ASSIGN(container::Opened opened, container::OpenContainer(file.path, *content));
      QSTORE_TRY(opened.refusal.WithContext(file.source.string()));
      if (opened.container == nullptr) continue;
      for (container::Tensor& tensor : opened.layout.tensors) {
        const container::Part& part = opened.layout.parts[tensor.part];
        tensors.all.push_back({std::move(tensor.name), tensor.dtype, std::move(tensor.shape),
                               files.size(), part.begin, part.size()});
      }
      files.push_back({file.source, std::move(content)});
    }
    tensors.Index();
    return {};
  }

  // Quantized weights of a module count before floats of the same name.
  void FindMatrices() {
    std::map<std::string_view, Matrix> found;
    for (const auto& [name, index] : tensors.by_name) {
      const TensorDesc tensor = tensors.tensor(index);
      for (const scheme::Scheme* each : scheme::Schemes()) {
        const auto module = each->ModuleOfCodes(tensor);
        if (module && !module->empty()) found.emplace(*module, Quantized(*module, index, *each));
      }
    }
    for (const auto& [name, index] : tensors.by_name) {
      if (name.size() <= kFloats.size() || !name.ends_with(kFloats)) continue;
      const auto module = name.substr(0, name.size() - kFloats.size());
      if (tensors.all[index].shape.size() >= 2) found.emplace(module, Floats(module, index));
    }
    for (auto& [module, matrix] : found) {
      matrix.view.parts = matrix.parts;
      matrices.push_back(std::move(matrix));
    }
  }

  Matrix Quantized(std::string_view module, size_t index, const scheme::Scheme& scheme) const {
    Matrix matrix;
    matrix.view.module = module;
    matrix.view.scheme = scheme.name();
    scheme::Refusal refusal;
    matrix.weights = scheme.WeightsOf(index, tensors, &refusal);
    if (matrix.weights == nullptr) {
      matrix.view.problem = Refuse(refusal.tensor, refusal.rule);
      return matrix;
    }
    const scheme::MatrixShape& shape = matrix.weights->shape();
    const auto parts = matrix.weights->parts();
    SetShape(shape, &matrix);
    matrix.parts.assign(parts.begin(), parts.end());
    return matrix;
  }

  Matrix Floats(std::string_view module, size_t index) const {
    Matrix matrix;
    matrix.view.module = module;
    const TensorDesc tensor = tensors.tensor(index);
    const scheme::MatrixShape shape{DTypeBits(tensor.dtype), tensor.shape[0],
                                    scheme::ElementCount(tensor.shape.subspan(1)), 1};
    if (tensor.dtype != DType::kBF16 && tensor.dtype != DType::kF16) {
      matrix.view.problem = Refuse(index, "neither BF16 nor F16, nor quantized in a known way");
    } else if (shape.rows == 0 || shape.columns == 0) {
      matrix.view.problem = Refuse(index, "empty");
    }
    SetShape(shape, &matrix);
    matrix.parts = {{index, size_t{0}}};
    return matrix;
  }

  static void SetShape(const scheme::MatrixShape& shape, Matrix* matrix) {
    matrix->view.bits = shape.bits;
    matrix->view.rows = shape.rows;
    matrix->view.columns = shape.columns;
    matrix->view.groups = shape.groups;
  }

  Status Refuse(size_t index, const std::string& rule) const {
    const Tensor& tensor = tensors.all[index];
    return InvalidArgument(files[tensor.file].path.string() + ": " + io::QuotedName(tensor.name) +
                           " is " + ShapeText(tensors.tensor(index)) + ", " + rule);
  }

  Status ReadPart(const Matrix& matrix, size_t part, uint64_t offset,
                  std::span<std::byte> out) const {
    const Tensor& tensor = tensors.all[matrix.parts[part].tensor];
    return files[tensor.file].content->Read(tensor.begin + offset, out);
  }

  Result<const Matrix*> Readable(size_t index) const {
    if (index >= matrices.size()) return InvalidArgument("there is no such matrix");
    if (!matrices[index].view.problem.ok()) return matrices[index].view.problem;
    return &matrices[index];
  }
};

Checkpoint::Checkpoint(std::unique_ptr<const Model> model) : model_(std::move(model)) {}
Checkpoint::~Checkpoint() = default;
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;

Result<Checkpoint> Checkpoint::Open(const std::filesystem::path& path) {
  return base::Guarded([&]() -> Result<Checkpoint> {
    auto model = std::make_unique<Model>();
    QSTORE_TRY(model->ReadFiles(path));
    model->FindMatrices();
    return Checkpoint(std::move(model));
  });
}

size_t Checkpoint::file_count() const { return model_->files.size(); }
const CheckpointFile& Checkpoint::file(size_t index) const { return model_->files[index]; }
size_t Checkpoint::tensor_count() const { return model_->tensors.size(); }
size_t Checkpoint::matrix_count() const { return model_->matrices.size(); }
WeightMatrix Checkpoint::matrix(size_t index) const { return model_->matrices[index].view; }

CheckpointTensor Checkpoint::tensor(size_t index) const {
  const Tensor& tensor = model_->tensors.all[index];
  return {tensor.name, tensor.dtype, tensor.shape, tensor.file, tensor.begin, tensor.byte_size};
}

std::optional<size_t> Checkpoint::FindMatrix(std::string_view module) const {
  const auto& matrices = model_->matrices;
  const auto found =
      std::lower_bound(matrices.begin(), matrices.end(), module,
                       [](const Matrix& a, std::string_view b) { return a.view.module < b; });
  if (found == matrices.end() || found->view.module != module) return std::nullopt;
  return static_cast<size_t>(found - matrices.begin());
}

Status Checkpoint::ReadCodes(size_t matrix, uint64_t row, uint64_t rows,
                             std::span<uint16_t> codes) const {
  return base::Guarded([&]() -> Status {
    QSTORE_ASSIGN(const Matrix* const found, model_->Readable(matrix));
    const WeightMatrix& view = found->view;
    if (row > view.rows || rows > view.rows - row || codes.size() != rows * view.columns) {
      return InvalidArgument("no such rows, or room for others");
    }
    const auto read = [&](size_t part, uint64_t offset, std::span<std::byte> out) {
      return model_->ReadPart(*found, part, offset, out);
    };
    if (found->weights != nullptr) return found->weights->ReadCodes(read, row, rows, codes);
    return read(0, row * view.columns * sizeof(uint16_t), std::as_writable_bytes(codes));
  });
}

Result<WeightScales> Checkpoint::ReadScales(size_t matrix) const {
  return base::Guarded([&]() -> Result<WeightScales> {
    QSTORE_ASSIGN(const Matrix* const found, model_->Readable(matrix));
    if (found->weights == nullptr) return InvalidArgument("the weights are not quantized");
    auto scales =
        found->weights->ReadScales([&](size_t part, uint64_t offset, std::span<std::byte> out) {
          return model_->ReadPart(*found, part, offset, out);
        });
    if (scales.ok()) return scales;
    return scales.status().WithContext(io::QuotedName(found->view.module));
  });
}

}  // namespace qstore
