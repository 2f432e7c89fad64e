// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "make/gguf/targets.h"

// The tables of docs/format-ggml.md, "Mixtures".

namespace qstore::make {

/// What a tensor is for, by its name.
enum class Role : uint8_t {
  kOutput,
  kEmbedding,
  kValue,  ///< Of attention: values, alone or beside others.
  kKey,
  kAttentionOutput,
  kUp,
  kGate,
  kDown,
  kOther
};

/// The role that a name has.
Role RoleOf(std::string_view name);
/// Whether a name is of those that are never quantized.
bool IsNeverQuantized(std::string_view name);

/// Where in a model a row of a mixture holds.
struct MixturePlace {
  uint64_t index = 0;  ///< Of the layer, or among the values.
  uint64_t count = 0;  ///< Of layers, or values.
  bool has_importance = false;
  bool is_grouped = false;  ///< Four heads or more share keys and values.
};

/// The type that a mixture has for a role in place of its usual one.
std::optional<DType> MixedType(GgufFileType mixture, Role role, const MixturePlace& place);
/// The same for the roles kDown and kAttentionOutput of the architecture "falcon".
std::optional<DType> FalconType(GgufFileType mixture, Role role, const MixturePlace& place);
/// Whether that mixture has Q5_K for kAttentionOutput in models of eight experts.
bool HasLargeOutputOfEight(GgufFileType mixture);

/// The type for rows that no blocks of `type` fit, or nothing.
std::optional<DType> FallbackOf(DType type);

}  // namespace qstore::make
