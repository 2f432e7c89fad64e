// SPDX-License-Identifier: Apache-2.0
#include "scheme/ggml/search/search.h"

namespace qstore::scheme::ggml {
namespace {

const SearchKernels& SearchFor([[maybe_unused]] base::Isa isa) {
#if defined(QSTORE_X86_KERNELS)
  if (isa == base::Isa::kAvx512) return kAvx512Search;
  if (isa == base::Isa::kAvx2) return kAvx2Search;
#endif
  return kScalarSearch;
}

// Null for types that there is no search for.
SearchKernels::Quantizer QuantizerOf(const SearchKernels& kernels, DType type) {
  switch (type) {
    case DType::kQ2K:
      return kernels.q2_k;
    case DType::kQ3K:
      return kernels.q3_k;
    case DType::kQ4K:
      return kernels.q4_k;
    case DType::kQ5K:
      return kernels.q5_k;
    case DType::kQ6K:
      return kernels.q6_k;
    case DType::kIq4Nl:
      return kernels.iq4_nl;
    case DType::kIq4Xs:
      return kernels.iq4_xs;
    case DType::kQ4_0:
      return kernels.q4_0;
    case DType::kQ4_1:
      return kernels.q4_1;
    case DType::kQ5_0:
      return kernels.q5_0;
    case DType::kQ5_1:
      return kernels.q5_1;
    case DType::kQ8_0:
      return kernels.q8_0;
    case DType::kTq1_0:
      return kernels.tq1_0;
    case DType::kTq2_0:
      return kernels.tq2_0;
    case DType::kMxfp4:
      return kernels.mxfp4;
    case DType::kNvfp4:
      return kernels.nvfp4;
    default:
      return nullptr;
  }
}

}  // namespace

bool IsSearched(DType type) { return QuantizerOf(kScalarSearch, type) != nullptr; }

void QuantizeRowsFor(base::Isa isa, DType type, std::span<const float> weights, uint64_t columns,
                     std::span<const float> importance, std::span<std::byte> out,
                     SearchScratch* scratch) {
  if (weights.empty()) return;
  const SearchedRows rows{.weights = weights.data(),
                          .rows = weights.size() / columns,
                          .columns = columns,
                          .importance = importance.empty() ? nullptr : importance.data(),
                          .out = reinterpret_cast<uint8_t*>(out.data()),
                          .scratch = scratch};
  QuantizerOf(SearchFor(isa), type)(rows);
}

void QuantizeRows(DType type, std::span<const float> weights, uint64_t columns,
                  std::span<const float> importance, std::span<std::byte> out,
                  SearchScratch* scratch) {
  QuantizeRowsFor(base::ActiveIsa(), type, weights, columns, importance, out, scratch);
}

}  // namespace qstore::scheme::ggml
