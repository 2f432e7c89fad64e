// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "qstore/dtype.h"
#include "qstore/status.h"
#include "scheme/gptq/gptq_shape.h"

namespace qstore::scheme {

// GPTQ (Frantar et al. 2022) as AutoGPTQ and GPTQModel store it: qweight I32 [inputs * bits / 32,
// outputs], qzeros I32 [groups, outputs * bits / 32], scales [groups, outputs], g_idx I32 [inputs].
// A weight is about scale * (q - zero). Integers are fields of a stream of bits, lowest first.

/// How the zero points of qzeros are meant. On disk.
enum class GptqZeros : uint8_t {
  kPlain = 0,         ///< As stored ("v2").
  kLessOne = 1,       ///< One less is stored, modulo 2^bits ("v1").
  kWordsLessOne = 2,  ///< Likewise, with borrows from field to field of a word; not for 3 bits.
};
inline constexpr unsigned kGptqZerosCount = 3;
constexpr bool IsGptqZeros(unsigned zeros, unsigned bits) {
  return zeros < kGptqZerosCount && (zeros != 2 || bits != 3);
}

/// A tensor's parts, all whole but `weights`, which may be of some outputs only.
struct GptqTensor {
  GptqShape shape;
  DType scales_dtype = DType::kF16;  ///< F16, BF16 or F32.
  std::span<const std::byte> weights;
  std::span<const std::byte> scales;
  std::span<const std::byte> zeros;
  std::span<const std::byte> groups;  ///< Empty: `groups` equal runs of inputs.
  std::optional<GptqOutputs> only = {};

  GptqOutputs weights_outputs() const { return only.value_or(GptqOutputs{0, shape.outputs}); }
};

/// The group of each input; an input's number from the end when it is negative. kCorrupt when there
/// is no such group.
Status ReadGroups(const GptqTensor& tensor, std::vector<uint32_t>* group_of);

/// Scales of a group for `count` outputs from `first` on. One that is not finite or below 2^-100
/// counts as 0: so neither the host's NaNs nor its subnormals decide anything.
void ReadScales(const GptqTensor& tensor, uint64_t group, uint64_t first, size_t count, float* out);

/// Zero points of a group for `count` outputs from `first` on.
void ReadZeros(const GptqTensor& tensor, GptqZeros zeros, uint64_t group, uint64_t first,
               size_t count, uint8_t* out);

/// False only when kWordsLessOne means all zero points of a group as kLessOne does.
bool ZerosCarry(const GptqTensor& tensor, uint64_t group);

/// Inputs that the smallest whole number of words holds, whatever the bits.
inline constexpr size_t kGptqBlock = 32;

}  // namespace qstore::scheme
