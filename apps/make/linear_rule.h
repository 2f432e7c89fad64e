// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "io/safetensors.h"

namespace qstore::make {

bool IsFloat(DType dtype);  ///< F64, F32, F16 or BF16.

/// A float matrix with elements, named "P.weight": what could be a linear layer.
bool IsWeightMatrix(const io::SafetensorsTensor& tensor);

/// Whether a module of this name is, in the models of transformers, a linear layer other than the
/// output head. The names are those listed in <qstore_apps/quantize.h>.
bool IsLinearModule(std::string_view module);

/// Whether it is an embedding table by its name.
bool IsEmbeddingModule(std::string_view module);

/// The module's name: "P" of "P.weight". REQUIRES: IsWeightMatrix.
std::string_view ModuleOf(const io::SafetensorsTensor& tensor);

/// The choice among weight matrices: the rule, then include, then exclude.
struct LinearChoice {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool Chooses(const io::SafetensorsTensor& tensor) const;
};

}  // namespace qstore::make
