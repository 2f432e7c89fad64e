// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "base/pipeline.h"
#include "base/status_macros.h"
#include "qstore/round.h"
#include "scheme/grid/grid_maker.h"

namespace qstore {

struct Rounder::Matrix {
  scheme::GridMaker maker;
  std::vector<RoundedTensor> tensors;
};

std::span<const std::string_view> RoundFormats() { return scheme::MadeNames(); }

Rounder::Rounder(std::unique_ptr<const Matrix> matrix) : matrix_(std::move(matrix)) {}
Rounder::~Rounder() = default;
Rounder::Rounder(Rounder&&) noexcept = default;
Rounder& Rounder::operator=(Rounder&&) noexcept = default;

Result<Rounder> Rounder::Create(std::string_view format, std::string_view name, DType dtype,
                                std::span<const uint64_t> shape) {
  return base::Guarded([&]() -> Result<Rounder> {
    QSTORE_ASSIGN(auto maker, scheme::GridMaker::Create(format, {name, dtype, shape}));
    std::vector<RoundedTensor> tensors;
    for (const scheme::MadeTensor& tensor : maker.tensors()) {
      tensors.push_back({tensor.name, tensor.dtype, tensor.shape});
    }
    return Rounder(std::make_unique<const Matrix>(Matrix{std::move(maker), std::move(tensors)}));
  });
}

std::span<const RoundedTensor> Rounder::tensors() const { return matrix_->tensors; }
uint64_t Rounder::unit() const { return matrix_->maker.unit(); }
bool Rounder::needs_peak() const { return matrix_->maker.needs_peak(); }

Result<float> Rounder::PeakOf(std::span<const std::byte> weights) const {
  return base::Guarded([&] { return matrix_->maker.PeakOf(weights); });
}

Result<std::vector<RoundedPart>> Rounder::Round(uint64_t first, std::span<const std::byte> weights,
                                                float peak) const {
  return base::Guarded([&] { return matrix_->maker.Round(first, weights, peak); });
}

}  // namespace qstore
